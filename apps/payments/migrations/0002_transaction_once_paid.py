"""A transaction counts as used when it has paid: naming a stranger's first takes nothing from him."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0001_initial'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='payment', name='payment_transaction_once'),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(condition=models.Q(('money_moved', True), ('rail', 'mpp'), ('transaction__isnull', False)), fields=('transaction',), name='payment_transaction_once'),
        ),
    ]
