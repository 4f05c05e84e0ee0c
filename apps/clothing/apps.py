from django.apps import AppConfig


class ClothingConfig(AppConfig):
    name = "apps.clothing"
    verbose_name = "Clothing segmentation"

    def ready(self) -> None:
        from apps.clothing.operation import CLOTHING_SEGMENTATION, COSTUME_REMOVAL
        from apps.core.operations import register_operation

        register_operation(CLOTHING_SEGMENTATION)
        register_operation(COSTUME_REMOVAL)
