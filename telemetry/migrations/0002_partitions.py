from django.db import migrations

from telemetry.partition_sql import partitioned


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial")]
    operations = [
        partitioned(
            "telemetry_sample",
            by="at",
            indexes=(
                "CREATE INDEX telemetry_sample_device ON telemetry_sample (device_id)",
                "CREATE INDEX telemetry_sample_at ON telemetry_sample USING brin (at)"
                " WITH (pages_per_range = 32, autosummarize = on)",
            ),
        ),
        partitioned(
            "telemetry_deviceminute",
            by="minute",
            indexes=(
                "CREATE UNIQUE INDEX telemetry_deviceminute_once ON telemetry_deviceminute (device_id, minute)",
                "CREATE INDEX telemetry_deviceminute_minute ON telemetry_deviceminute USING brin (minute)"
                " WITH (pages_per_range = 32, autosummarize = on)",
            ),
        ),
        partitioned(
            "telemetry_devicehour",
            by="hour",
            indexes=(
                "CREATE UNIQUE INDEX telemetry_devicehour_once ON telemetry_devicehour (device_id, hour)",
                "CREATE INDEX telemetry_devicehour_hour ON telemetry_devicehour USING brin (hour)"
                " WITH (pages_per_range = 32, autosummarize = on)",
            ),
        ),
        partitioned(
            "telemetry_nodeminute",
            by="minute",
            indexes=("CREATE UNIQUE INDEX telemetry_nodeminute_once ON telemetry_nodeminute (node_id, minute)",),
        ),
        partitioned(
            "telemetry_nodehour",
            by="hour",
            indexes=("CREATE UNIQUE INDEX telemetry_nodehour_once ON telemetry_nodehour (node_id, hour)",),
        ),
        # each row is rewritten every ten seconds: room for that on its own page, and no wait for a fifth to be dead
        migrations.RunSQL(
            "ALTER TABLE telemetry_latestsample SET (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.5);"
            "ALTER TABLE telemetry_samplefeed SET (fillfactor = 50);",
            migrations.RunSQL.noop,
        ),
    ]
