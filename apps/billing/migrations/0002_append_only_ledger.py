"""The ledger is append-only for everybody, the admin and a careless shell included."""

from django.db import migrations

GUARD = """
CREATE FUNCTION billing_ledger_is_append_only() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: write an adjusting entry instead';
END
$$ LANGUAGE plpgsql;
CREATE TRIGGER billing_ledger_guard BEFORE UPDATE OR DELETE ON billing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_is_append_only();
"""
UNGUARD = """
DROP TRIGGER billing_ledger_guard ON billing_ledgerentry;
DROP FUNCTION billing_ledger_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunSQL(GUARD, UNGUARD)]
