from django.apps import AppConfig


class WatermarkConfig(AppConfig):
    name = "apps.watermark"
    verbose_name = "Watermark removal"

    def ready(self) -> None:
        from apps.core.operations import register_operation
        from apps.core.sweeper import register_round
        from apps.watermark.operation import WATERMARK_REMOVAL
        from apps.watermark.templates import purge_discarded

        register_operation(WATERMARK_REMOVAL)
        register_round("watermark_templates", purge_discarded)
