from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"
    verbose_name = "Jobs"

    def ready(self) -> None:
        from apps.core import handover
        from apps.core.endings import register_ending
        from apps.core.errands import register_errand, wake_due
        from apps.core.sweeper import register_round

        register_round("errands", wake_due)
        register_ending(handover.on_ending)
        register_errand(handover.ERRAND, handover.deliver_next, due=handover.due, places=handover.PLACES)
