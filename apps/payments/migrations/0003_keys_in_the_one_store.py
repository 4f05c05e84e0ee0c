"""
A payer's Idempotency-Key goes to the one store, unless its day is over or its payment has moved no money.

Who paid a transaction that the client sent itself is not known until it is mined: until then the payment is the owner.
"""

from django.db import migrations

_THERE = """
LOCK TABLE payments_payment IN SHARE ROW EXCLUSIVE MODE;  -- no key is taken in the old place from here on
INSERT INTO core_idempotencykey (account_id, mode, payer, key, fingerprint, kind, made_id, answered_binary, created_at)
SELECT NULL, 'live', CASE payer WHEN '' THEN id::text ELSE payer END, idempotency_key, fingerprint, 'payment', id, false, created_at
FROM payments_payment
WHERE idempotency_key IS NOT NULL AND state NOT IN ('released', 'failed') AND created_at > now() - interval '24 hours'
ON CONFLICT DO NOTHING
"""
_BACK = """
UPDATE payments_payment SET idempotency_key = k.key
FROM (SELECT DISTINCT ON (made_id) made_id, key FROM core_idempotencykey WHERE kind = 'payment' ORDER BY made_id, created_at) k
WHERE k.made_id = payments_payment.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0005_one_store_of_keys'),
        ('payments', '0002_transaction_once_paid'),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RunSQL(_THERE, _BACK),
        migrations.RemoveConstraint(model_name='payment', name='payment_idempotency_key_once'),
        migrations.RemoveIndex(model_name='payment', name='payment_by_key'),
        migrations.RemoveField(model_name='payment', name='idempotency_key'),
    ]
