from django.apps import AppConfig

from apps.core.funding import register_funding


class BillingConfig(AppConfig):
    name = "apps.billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from apps.billing.funding import FUNDINGS
        from apps.billing.low_balance import KIND, CreditsLow
        from apps.core.openapi.news import register_news

        register_news(KIND, "The balance has fallen below a fifth of the last grant", CreditsLow)

        for funding in FUNDINGS:
            register_funding(funding)
