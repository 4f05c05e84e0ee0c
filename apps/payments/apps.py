from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    verbose_name = "Machine payments"

    def ready(self) -> None:
        from apps.core.funding import register_funding
        from apps.core.sweeper import register_round
        from apps.payments import reconciler
        from apps.payments.funding import FUNDINGS

        for funding in FUNDINGS:
            register_funding(funding)
        register_round("payments_reconciled", reconciler.reconcile)
