"""An import, to the API."""

from rest_framework import serializers


class ImportSerializer(serializers.Serializer):
    """Multipart: an XLSX or CSV file; nothing is saved while `dry_run` is true."""

    call = serializers.CharField(max_length=40)
    file = serializers.FileField(max_length=200, allow_empty_file=True)
    dry_run = serializers.BooleanField(default=True)


class ProblemSerializer(serializers.Serializer):
    """One thing that is wrong, in the row as the spreadsheet counts it."""

    row = serializers.IntegerField()
    column = serializers.CharField()
    value = serializers.CharField()
    message = serializers.CharField()
    remedy = serializers.CharField()


class ImportReportSerializer(serializers.Serializer):
    """`known` were brought in before and are passed by; `ignored` are columns that nobody knows; `lacking` are
    files that the call needs and every new proposal comes without: return those for changes.
    """

    rows = serializers.IntegerField()
    proposals = serializers.IntegerField()
    new = serializers.IntegerField()
    known = serializers.IntegerField()
    bad_rows = serializers.IntegerField()
    saved = serializers.BooleanField()
    ignored = serializers.ListField(child=serializers.CharField())
    lacking = serializers.ListField(child=serializers.CharField())
    problems = ProblemSerializer(many=True)
