"""Tables that the database itself keeps from being rewritten."""

from django.db import migrations

_FUNCTION = """
CREATE OR REPLACE FUNCTION bitgoeul_refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""


def append_only(table: str) -> migrations.RunSQL:
    """A migration operation: UPDATE and DELETE on `table` raise, whoever sends them."""
    return migrations.RunSQL(
        _FUNCTION
        + f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
        + "FOR EACH ROW EXECUTE FUNCTION bitgoeul_refuse_rewrite();",
        f"DROP TRIGGER append_only ON {table};",
    )
