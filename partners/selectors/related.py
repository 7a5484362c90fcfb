"""Which organisations stand so near to each other that one may not judge the other. Reads only."""

from decimal import Decimal

from django.db.models import Q

from partners.models import Organisation, Relation, Shareholder

GROUP_PERCENT = Decimal(30)  # from this share on the holder counts as of the group (Monopoly Regulation Act, decree, 4)
HOPS = 8  # a longer chain is no nearness any more, and a circle must end


def related_ids(organisation: Organisation) -> frozenset[int]:
    """Keys of the organisations from which it is not independent; its own among them.

    Its group: whatever is related to it, or holds or is held by `GROUP_PERCENT` and more, through each other. And who
    holds any part of it, or of whom it holds one: those directly only, or one fund would make relatives of all its
    start-ups. Two queries for each step of the chain, and most chains have one.
    """
    known = {organisation.pk}
    edge = set(known)
    for _step in range(HOPS):
        edge = (_beside(edge) | _held(edge, least=GROUP_PERCENT)) - known
        if not edge:
            break
        known |= edge
    return frozenset(known | _held({organisation.pk}, least=Decimal(0)))


def shareholder_ids(organisation: Organisation) -> frozenset[int]:
    """Keys of the registered organisations that hold a part of it, by link or by their number: one query."""
    rows = Shareholder.objects.filter(organisation=organisation)
    numbers = rows.exclude(registration_number="").values("registration_number")
    holders = Organisation.objects.filter(Q(holdings__organisation=organisation) | Q(registration_number__in=numbers))
    return frozenset(holders.exclude(pk=organisation.pk).values_list("pk", flat=True))


def shareholder_names(organisation: Organisation) -> frozenset[str]:
    """Names of all who hold a part of it, people too, as they were entered: one query."""
    return frozenset(Shareholder.objects.filter(organisation=organisation).values_list("name", flat=True))


def _beside(keys: set[int]) -> set[int]:
    pairs = Relation.objects.filter(Q(organisation__in=keys) | Q(other__in=keys)).values_list("organisation", "other")
    return {key for pair in pairs for key in pair}


def _held(keys: set[int], *, least: Decimal) -> set[int]:
    """Holders and held, by link, and by number where the holder was entered before it was registered."""
    own = Organisation.objects.filter(pk__in=keys).values("registration_number")
    rows = Shareholder.objects.filter(
        Q(organisation__in=keys) | Q(holder__in=keys) | Q(registration_number__in=own), percent__gte=least
    )
    found: set[int] = set()
    numbers: set[str] = set()
    for key, holder, number in rows.values_list("organisation", "holder", "registration_number"):
        found |= {key, holder} if holder else {key}
        if number:
            numbers.add(number)
    if numbers:
        found |= set(Organisation.objects.filter(registration_number__in=numbers).values_list("pk", flat=True))
    return found
