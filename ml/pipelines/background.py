"""
Background removal: a photo in, the subject's alpha and what is known about it out.

The colours of the cut-out's edge are the caller's next step (`ml.compositing.estimate_foreground`), because the
output keeps the photo's own colour space while the network sees sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ml.compositing import bounding_box, over_colour, remove_specks, solidify
from ml.transforms import require_alpha, require_rgb, resize_alpha, to_alpha
from ml.types import AlphaChannel, BoxXywh, Matte, RgbImage

NEUTRAL_GREY = (128, 128, 128)
"""Under what is transparent already: unlike white and black, it is no subject's own colour often."""

MIN_AREA_RATIO = 0.0005
"""Half a thousandth of the photo (a 23 px square in 1 MP): less is a speck, not a subject."""

MIN_CONFIDENCE = 0.35
"""Below it the map is a haze over everything (noise, plain texture), or no place passes a half at all (0)."""

MIN_CONTRAST_LEVELS = 2.0
"""Standard deviation of the brightness under which a photo is a flat surface."""


class Network(Protocol):
    """What finds the subject: `ml.models.saliency.SaliencyNetwork`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def predict_native(self, image: RgbImage) -> Matte:
        """Find the subject of an (H, W, 3) uint8 sRGB image: a float32 matte, 0..1, of any size."""
        ...


@dataclass(frozen=True, slots=True)
class BackgroundResult:
    """
    What was found.

    Attributes:
        alpha: (H, W) uint8, 0..255, at the image's size; the input's own opacity is in it. All 0 where `is_empty`.
        bbox_xywh: the subject's box in pixels, or None where `is_empty`.
        area_ratio: the subject's share of the photo, 0..1.
        confidence: 0..1, how far the network's map is a clear yes or no (its overlap with its own 0.5 outline).
        is_empty: no subject was found.
    """

    alpha: AlphaChannel
    bbox_xywh: BoxXywh | None
    area_ratio: float
    confidence: float
    is_empty: bool


class BackgroundPipeline:
    """Cuts the subject out of a photo. Holds no state between calls; many threads may run it at once."""

    def __init__(
        self, network: Network, *, model_name: str, model_version: str, warnings: tuple[str, ...] = ()
    ) -> None:
        """
        Args:
            network: finds the subject.
            model_name, model_version: what answers say about it.
            warnings: what an operator should know (a fallback in use), one sentence each.
        """
        self._network = network
        self.model_name = model_name
        self.model_version = model_version
        self.device = network.device
        self.warnings = warnings

    def warm_up(self) -> None:
        """Run the network once, so that the first photo finds its memory and threads ready."""
        self._network.predict_native(np.zeros((8, 8, 3), np.uint8))

    def run(self, image: RgbImage, *, opacity: AlphaChannel | None = None) -> BackgroundResult:
        """
        Find the subject.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255, upright.
            opacity: (H, W) uint8, 0..255: the alpha channel that the photo has already, if any. The network sees
                the photo over neutral grey, and the result is never more opaque than this.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        """
        height, width = require_rgb(image).shape[:2]
        seen = image
        if opacity is not None:
            seen = over_colour(image, require_alpha(opacity, (height, width)), NEUTRAL_GREY)
        matte = self._network.predict_native(seen)
        confidence = _confidence(matte)
        if _is_flat(seen) or confidence < MIN_CONFIDENCE:
            return _nothing((height, width), confidence)
        alpha = resize_alpha(remove_specks(to_alpha(solidify(matte))), (width, height))
        if opacity is not None:
            cv2.multiply(alpha, opacity, dst=alpha, scale=1 / 255)
        return _result(alpha, confidence)


def _result(alpha: AlphaChannel, confidence: float) -> BackgroundResult:
    area_ratio = float(cv2.mean(alpha)[0]) / 255
    box = bounding_box(alpha)
    if box is None or area_ratio < MIN_AREA_RATIO:
        return _nothing((alpha.shape[0], alpha.shape[1]), confidence)
    return BackgroundResult(alpha, box, area_ratio, confidence, is_empty=False)


def _nothing(shape_hw: tuple[int, int], confidence: float) -> BackgroundResult:
    return BackgroundResult(np.zeros(shape_hw, np.uint8), None, 0.0, confidence, is_empty=True)


def _confidence(matte: Matte) -> float:
    """Soft intersection over union of the map with its own 0.5 outline: 1 for a clear map, 0 where nothing passes 0.5."""
    inside = matte > 0.5
    return float(matte[inside].sum() / (np.count_nonzero(inside) + matte[~inside].sum() + 1e-6))


def _is_flat(image: RgbImage) -> bool:
    thumbnail = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    return float(cv2.meanStdDev(thumbnail)[1].max()) < MIN_CONTRAST_LEVELS
