from django.apps import AppConfig

from apps.core.funding import register_funding


class BillingConfig(AppConfig):
    name = "apps.billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from apps.billing.funding import FUNDINGS

        for funding in FUNDINGS:
            register_funding(funding)
