from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    verbose_name = "Machine payments"

    def ready(self) -> None:
        from apps.core.funding import register_funding
        from apps.core.idempotency import Kind, register_kind
        from apps.core.sweeper import register_round
        from apps.payments import keys, reconciler
        from apps.payments.funding import FUNDINGS
        from apps.payments.models import Payment

        for funding in FUNDINGS:
            register_funding(funding)
        register_kind(Kind("payment", Payment, keys.fate_of))
        register_round("payments_reconciled", reconciler.reconcile)
