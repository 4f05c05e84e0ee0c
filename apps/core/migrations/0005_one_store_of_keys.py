"""
A key points to whatever its request made, by kind and id, and may be a payer's.

A job's id stays in its column, which only gets another name: no row is copied or rewritten. A template's key had a row
without a job; it goes here, and `watermark.0003` writes it again from the template, which knows all of it.
Stop the web processes of the release before first: they and the new ones would not see each other's keys, and could take a
payer's money twice. One that is left over fails on the missing column, before it makes anything.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('core', '0004_paces'),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),  # else all traffic waits behind this
        migrations.RunSQL("DELETE FROM core_idempotencykey WHERE job_id IS NULL", migrations.RunSQL.noop),
        migrations.AlterField(  # drops what only a job's id can keep: the foreign key, and that no other key has it
            model_name='idempotencykey',
            name='job',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.job'),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE core_idempotencykey RENAME COLUMN job_id TO made_id",
                    "ALTER TABLE core_idempotencykey RENAME COLUMN made_id TO job_id",
                ),
            ],
            state_operations=[
                migrations.RemoveField(model_name='idempotencykey', name='job'),
                migrations.AddField(model_name='idempotencykey', name='made_id', field=models.UUIDField(db_index=True, null=True)),
            ],
        ),
        migrations.AddField(
            model_name='idempotencykey',
            name='kind',
            field=models.CharField(default='job', max_length=20),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='idempotencykey',
            name='payer',
            field=models.CharField(blank=True, db_default='', max_length=42),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, "UPDATE core_idempotencykey SET made_id = NULL WHERE kind <> 'job'"),
        migrations.AlterField(
            model_name='idempotencykey',
            name='made_id',
            field=models.UUIDField(db_index=True),
        ),
        migrations.AlterField(
            model_name='idempotencykey',
            name='account',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account'),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM core_idempotencykey WHERE account_id IS NULL"),
        migrations.AddConstraint(
            model_name='idempotencykey',
            constraint=models.UniqueConstraint(condition=models.Q(('account', None)), fields=('key', 'payer'), name='idempotency_key_once_a_payer'),
        ),
        migrations.AddConstraint(
            model_name='idempotencykey',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('account__isnull', False), ('payer', '')), models.Q(('account', None), models.Q(('payer', ''), _negated=True)), _connector='OR'), name='idempotency_key_of_one_owner'),
        ),
    ]
