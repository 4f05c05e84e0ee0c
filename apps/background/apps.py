from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "apps.background"
    verbose_name = "Background removal"

    def ready(self) -> None:
        from apps.background.operation import REMOVE_BACKGROUND
        from apps.background.raw import REMOVE_BACKGROUND_RAW
        from apps.background.removebg import REMOVE_BG
        from apps.core.operations import register_operation

        register_operation(REMOVE_BACKGROUND)
        register_operation(REMOVE_BG)
        register_operation(REMOVE_BACKGROUND_RAW)
