"""THE table of endpoints: path + operation + dialect (+ view: who may pay). Several paths may share one operation."""

from __future__ import annotations

from dataclasses import dataclass

from apps.background.operation import REMOVE_BACKGROUND
from apps.background.raw import REMOVE_BACKGROUND_RAW
from apps.background.removebg import REMOVE_BG
from apps.clothing.operation import CLOTHING_SEGMENTATION, COSTUME_REMOVAL
from apps.core.api.submitted import SubmitView
from apps.core.api.views import OperationView
from apps.core.dialects.base import Dialect
from apps.core.dialects.code_message import CODE_MESSAGE
from apps.core.dialects.elements import ELEMENTS
from apps.core.dialects.envelope import ENVELOPE
from apps.core.dialects.removebg import REMOVEBG
from apps.core.operations import Operation
from apps.payments.dialect import PAID_RAW
from apps.payments.views import PaidOperationView
from apps.watermark.operation import WATERMARK_REMOVAL, WATERMARK_TASK


@dataclass(frozen=True)
class Route:
    """`POST path` runs `operation` and answers in `dialect`."""

    path: str
    operation: Operation
    dialect: Dialect
    view: type[OperationView] = OperationView


ROUTES = (
    Route("v1/remove-bg/universal", REMOVE_BACKGROUND, ENVELOPE),
    Route("v1/remove-bg/human", REMOVE_BACKGROUND.fix(subject="human"), ENVELOPE),
    Route("v1/remove-bg/product", REMOVE_BACKGROUND.fix(subject="product"), ENVELOPE),
    Route("v1.0/removebg", REMOVE_BG, REMOVEBG),
    Route("v1/remove-background", REMOVE_BACKGROUND_RAW, PAID_RAW, view=PaidOperationView),
    Route("v1/clothing-segmentation", CLOTHING_SEGMENTATION, ENVELOPE),
    Route("api/cutout/general/apparel-background-removal", COSTUME_REMOVAL, ELEMENTS),
    Route("v1/watermark-removal", WATERMARK_REMOVAL, ENVELOPE),
    Route("api/ext/v1/submit_watermark_removal", WATERMARK_TASK, CODE_MESSAGE, view=SubmitView),
)
