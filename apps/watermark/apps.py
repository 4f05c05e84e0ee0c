from django.apps import AppConfig


class WatermarkConfig(AppConfig):
    name = "apps.watermark"
    verbose_name = "Watermark removal"

    def ready(self) -> None:
        from apps.core.idempotency import Kind, register_kind
        from apps.core.operations import register_operation
        from apps.core.sweeper import register_round
        from apps.watermark.models import WatermarkTemplate
        from apps.watermark.operation import WATERMARK_REMOVAL
        from apps.watermark.templates import fate_of, purge_discarded

        register_operation(WATERMARK_REMOVAL)
        register_kind(Kind("template", WatermarkTemplate, fate_of))
        register_round("watermark_templates", purge_discarded)
