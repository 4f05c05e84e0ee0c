from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"
    verbose_name = "Jobs"

    def ready(self) -> None:
        from apps.core.errands import wake_due
        from apps.core.sweeper import register_round

        register_round("errands", wake_due)
