"""Watermark removal: a photo in, the photo without its marks out, and where they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.mark_template import MarkTemplate
from ml.models.watermark import WatermarkNetwork
from ml.transforms import require_rgb
from ml.types import AlphaChannel, BoxXywh, Mask, RgbImage

Kind = Literal["text", "logo", "tiled"]
OnStage = Callable[[str, float], None]
"""Told what begins, and how much of all the work is done by then, 0..1."""


@dataclass(frozen=True, slots=True)
class Region:
    """A mark that was found: its box in pixels, how sure of it (0..1), and what it looks like."""

    bbox_xywh: BoxXywh
    score: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Removal:
    """
    What came of it.

    Attributes:
        image: (H, W, 3) uint8, sRGB: the restored photo; outside `mask` it is the input's, bit for bit.
        mask: (H, W) uint8: 255 where pixels were, or with `detect_only` would be, changed; else 0.
        regions: the marks, the surest first.
    """

    image: RgbImage
    mask: AlphaChannel
    regions: tuple[Region, ...]

    @property
    def detected(self) -> bool:
        """Whether there was any mark."""
        return bool(self.regions)


class WatermarkPipeline:
    """Finds marks and removes them. Holds no state between calls; many threads may run it at once."""

    def __init__(
        self, network: WatermarkNetwork, *, model_name: str, model_version: str, warnings: tuple[str, ...] = ()
    ) -> None:
        self._network = network
        self.model_name = model_name
        self.model_version = model_version
        self.device = network.device
        self.warnings = warnings

    def warm_up(self) -> None:
        """Run once, so that the first photo finds memory and threads ready."""
        self.run(np.zeros((64, 64, 3), np.uint8))

    def run(
        self,
        image: RgbImage,
        *,
        smear: Mask | None = None,
        sensitivity: float = 0.5,
        detect_only: bool = False,
        template: MarkTemplate | None = None,
        on_stage: OnStage | None = None,
    ) -> Removal:
        """
        Find the marks and remove them.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255, upright.
            smear: (H, W) bool, from `ml.smear.read_smear`: remove what lies under it and look nowhere else.
            sensitivity: 0..1: how faint a mark may be; 0.5 leaves nearly all clean photos alone.
            detect_only: say where marks are, and change nothing.
            template: the customer's own mark: look for this one alone.
            on_stage: called as each stage begins: "detect", "restore".

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `smear` has another size.
        """
        require_rgb(image)
        raise NotImplementedError((smear, sensitivity, detect_only, template, on_stage))
