from django.db import migrations

from common.append_only import append_only
from telemetry.partition_sql import keys, partitioned


class Migration(migrations.Migration):
    """What the database keeps: rows that nobody rewrites, and held hours in partitions of their months."""

    dependencies = [("allocations", "0002_initial")]
    operations = [
        partitioned(
            "allocations_usagehour",
            by="hour",
            indexes=(
                "ALTER TABLE allocations_usagehour ADD PRIMARY KEY (lease_id, device_id, hour)",
                "CREATE INDEX allocations_usagehour_hour ON allocations_usagehour USING brin (hour)"
                " WITH (pages_per_range = 32, autosummarize = on)",
                *keys("allocations_usagehour", lease_id="allocations_lease", device_id="cluster_device"),
            ),
        ),
        append_only("allocations_ledgerentry"),
        append_only("allocations_usagehour"),
        append_only("allocations_usagecorrection"),
    ]
