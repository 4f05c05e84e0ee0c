"""TRUNCATE passes triggers on rows, and a session that plays a replica passes ordinary ones: neither empties the ledger."""

from django.db import migrations

GUARD = """
CREATE TRIGGER billing_ledger_truncate_guard BEFORE TRUNCATE ON billing_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_ledger_is_append_only();
ALTER TABLE billing_ledgerentry ENABLE ALWAYS TRIGGER billing_ledger_guard;
ALTER TABLE billing_ledgerentry ENABLE ALWAYS TRIGGER billing_ledger_truncate_guard;
"""
UNGUARD = """
DROP TRIGGER billing_ledger_truncate_guard ON billing_ledgerentry;
ALTER TABLE billing_ledgerentry ENABLE TRIGGER billing_ledger_guard;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_modes")]
    operations = [migrations.RunSQL(GUARD, UNGUARD)]
