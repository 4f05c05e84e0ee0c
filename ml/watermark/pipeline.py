"""Watermark removal: a photo in, the photo without its marks out, and where they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.errors import ShapeError
from ml.picture.transforms import require_rgb
from ml.picture.types import AlphaChannel, Mask, RgbImage
from ml.watermark.regions import Region
from ml.watermark.repairing import Mirrored, Repairer
from ml.watermark.search import GLANCE_PIXELS, Job, Network, find, likelihood, under_smear
from ml.watermark.template.job import TemplateJob
from ml.watermark.template.mark import MarkTemplate, template_from_photos
from ml.watermark.template.search import place_template

__all__ = ["Region", "Removal", "WatermarkPipeline"]

LOOKS_WHERE_GIVEN = 4
"""Of the repairing network at marks that are smeared over or learned, which are worth a second more; marks that are found gain
less than .1 dB by it."""

OnStage = Callable[[str, float], None]
"""Told what begins, and how much of all the work is done by then, 0..1."""


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
        self,
        network: Network,
        repairer: Repairer,
        *,
        model_name: str,
        model_version: str,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._network = network
        self._repairer, self._thorough = repairer, Mirrored(repairer, LOOKS_WHERE_GIVEN)
        self.model_name = model_name
        self.model_version = model_version
        self.device = network.device
        self.warnings = warnings

    def score(self, image: RgbImage) -> float:
        """How sure the network is that there is any mark in the photo, 0..1."""
        return likelihood(self._network, image)

    def learn(self, photos: Sequence[RgbImage]) -> MarkTemplate:
        """
        Learn a mark from photos that carry it at the same place.

        Args:
            photos: 3 to 10 of them, (H, W, 3) uint8 each, all of one size.

        Raises:
            TemplateError: as `ml.watermark.template.mark.template_from_photos`.
        """
        return template_from_photos(photos, look=lambda photo: self._network.look(photo, most_pixels=GLANCE_PIXELS))

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
            smear: (H, W) bool, from `ml.watermark.smear.read_smear`: remove what lies under it and look nowhere else.
            sensitivity: 0..1: how faint a mark may be; 0.5 leaves nearly all clean photos alone.
            detect_only: say where marks are, and change nothing.
            template: the customer's own mark: look for this one alone.
            on_stage: called as each stage begins: "detect", "restore".

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `smear` has another size.
        """
        height, width = require_rgb(image).shape[:2]
        if smear is not None and smear.shape != (height, width):
            raise ShapeError(f"expected a {(height, width)} smear, got {smear.shape}")
        tell = on_stage or _tell_nobody
        tell("detect", 0.0)
        if template is not None:
            jobs: Sequence[Job | TemplateJob] = place_template(image, template, repairer=self._thorough)
        elif smear is not None:
            jobs = under_smear(self._network, self._thorough, image, smear)
        else:
            jobs = find(self._network, self._repairer, image, sensitivity=sensitivity)
        out, mask = None if detect_only else image.copy(), np.zeros((height, width), np.uint8)
        tell("restore", 0.4)
        for job in jobs:
            job.carry_out(image, out, mask)
        regions = tuple(dict.fromkeys(region for job in jobs for region in job.regions))
        return Removal(image if out is None else out, mask, regions)


def _tell_nobody(stage: str, progress: float) -> None:
    """For callers who don't want to know."""
