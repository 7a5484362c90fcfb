"""How a call is called wherever one is chosen from a list: on forms, and in the filters of lists."""

from proposals.models import Call


class ToldApart:
    """Mixed into a field that offers calls: rounds of one title are told apart by their days and number."""

    def label_from_instance(self, obj: Call) -> str:
        """What the reader chooses by."""
        return obj.told_apart
