"""What a migration says to make a model's table one that is partitioned by time."""

from collections.abc import Iterable

from django.db import migrations


def partitioned(table: str, *, by: str, indexes: Iterable[str]) -> migrations.RunSQL:
    """A migration operation: the same columns with their defaults and checks, partitioned by RANGE of `by`, these
    indexes and keys alone, and a partition for whatever none has been made for yet.

    `device_id` becomes an integer: four bytes of so many rows, and two thousand million devices are enough.
    """
    return migrations.RunSQL(
        f"ALTER TABLE {table} RENAME TO {table}_plain;"
        f"CREATE TABLE {table} (LIKE {table}_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE ({by});"
        f"DROP TABLE {table}_plain;"
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{table}'::regclass"
        f" AND attname = 'device_id') THEN ALTER TABLE {table} ALTER device_id TYPE integer; END IF; END $$;"
        + "".join(f"{index};" for index in indexes)
        + f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;",
        migrations.RunSQL.noop,
    )


def keys(table: str, **columns: str) -> list[str]:
    """Statements that give a partitioned table its foreign keys again: by column the table that it refers to."""
    return [
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_fk FOREIGN KEY ({column}) REFERENCES {other} (id)"
        " DEFERRABLE INITIALLY DEFERRED"
        for column, other in columns.items()
    ]
