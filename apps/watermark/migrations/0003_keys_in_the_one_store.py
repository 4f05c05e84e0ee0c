"""A template's Idempotency-Key goes to the one store, unless its day is over."""

from django.db import migrations, models

_THERE = """
LOCK TABLE watermark_watermarktemplate IN SHARE ROW EXCLUSIVE MODE;  -- no key is taken in the old place from here on
INSERT INTO core_idempotencykey (account_id, mode, payer, key, fingerprint, kind, made_id, answered_binary, created_at)
SELECT account_id, mode, '', idempotency_key, fingerprint, 'template', id, false, created_at
FROM watermark_watermarktemplate
WHERE idempotency_key IS NOT NULL AND discarded_at IS NULL AND account_id IS NOT NULL
  AND created_at > now() - interval '24 hours'
ON CONFLICT DO NOTHING
"""
_BACK = """
UPDATE watermark_watermarktemplate SET idempotency_key = k.key, fingerprint = k.fingerprint
FROM core_idempotencykey k
WHERE k.kind = 'template' AND k.made_id = watermark_watermarktemplate.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0005_one_store_of_keys'),
        ('watermark', '0002_modes'),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RunSQL(_THERE, _BACK),
        migrations.RemoveConstraint(model_name='watermarktemplate', name='template_key_once'),
        migrations.RemoveField(model_name='watermarktemplate', name='idempotency_key'),
        migrations.AlterField(  # only for the way back: the column needs a value for each row
            model_name='watermarktemplate',
            name='fingerprint',
            field=models.CharField(blank=True, db_default='', max_length=64),
        ),
        migrations.RemoveField(model_name='watermarktemplate', name='fingerprint'),
    ]
