"""
Background removal: a photo in, the subject's alpha and what is known about it out.

Main network -> second opinion -> judge -> fusion -> solid core -> the photo's own edges. Three pipelines share the
networks and differ in what the judge keeps and in how edges are finished; `human` asks one more, that knows people.

The colours of the cut-out's edge are the caller's next step (`ml.compositing.estimate_foreground`), because the
output keeps the photo's own colour space while the network sees sRGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np

from ml.compositing import bounding_box, crisp, over_colour, remove_specks, solidify
from ml.confidence import confidence_of, looks_empty
from ml.fusion import fuse
from ml.people import close_up, weigh_people
from ml.refinement import refine_edges
from ml.subject import count_subjects, touches_border
from ml.transforms import require_alpha, require_rgb, resize_alpha, resize_matte, shrink_or_grow, to_alpha
from ml.types import AlphaChannel, BoxXywh, Matte, RgbImage

Subject = Literal["universal", "human", "product"]
Quality = Literal["best", "fast"]

NEUTRAL_GREY = (128, 128, 128)
"""Under what is transparent already: unlike white and black, it is no subject's own colour often."""

MIN_AREA_RATIO = 0.0005
"""Half a thousandth of the photo (a 23 px square in 1 MP): less is a speck, not a subject."""

MIN_CONTRAST_LEVELS = 2.0
"""Standard deviation of the brightness under which a photo is a flat surface."""

GRID_PX = 1024
"""The square on which maps are combined: the main network's own."""


class Network(Protocol):
    """What finds the subject: `ml.models.saliency.SaliencyNetwork`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def predict_native(self, image: RgbImage) -> Matte:
        """Find the subject of an (H, W, 3) uint8 sRGB image: a square float32 matte, 0..1, of any size."""
        ...


class Judge(Protocol):
    """What decides between the maps: `ml.models.judge.JudgeNetwork`, or a test's fake."""

    def decide(self, square: RgbImage, main: Matte, second: Matte) -> dict[str, Matte]:
        """Say what each pipeline keeps: a square float32 matte, 0..1, for each `Subject`."""
        ...


class People(Protocol):
    """What knows people: `ml.models.people.PeopleNetwork`, or a test's fake."""

    def see_people(self, image: RgbImage) -> Matte:
        """Find all the people in an (H, W, 3) uint8 sRGB image: a float32 matte, 0..1, in its proportions."""
        ...


@dataclass(frozen=True, slots=True)
class BackgroundResult:
    """
    What was found.

    Attributes:
        alpha: (H, W) uint8, 0..255, at the image's size; the input's own opacity is in it. All 0 where `is_empty`.
        bbox_xywh: the subject's box in pixels, or None where `is_empty`.
        area_ratio: the subject's share of the photo, 0..1.
        confidence: 0..1, the intersection over union that such maps have with the truth on average.
        is_empty: no subject was found.
        touches_border: the subject goes on beyond the picture's border.
        subjects: how many separate things of similar size there are; 0 where `is_empty`.
    """

    alpha: AlphaChannel
    bbox_xywh: BoxXywh | None
    area_ratio: float
    confidence: float
    is_empty: bool
    touches_border: bool = False
    subjects: int = 1


class BackgroundPipeline:
    """Cuts the subject out of a photo. Holds no state between calls; many threads may run it at once."""

    def __init__(
        self,
        network: Network,
        *,
        second_opinion: Network | None = None,
        judge: Judge | None = None,
        people: People | None = None,
        model_name: str,
        model_version: str,
        warnings: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            network: finds the subject.
            second_opinion: a quick one that fails on other photos; used with `quality="best"`.
            judge: decides between the two. Without it all three pipelines are the main network's.
            people: asked besides for `human`, but for `fast`.
            model_name, model_version: what answers say about the main network.
            warnings: what an operator should know (a fallback in use), one sentence each.
        """
        self._network = network
        self._second_opinion = second_opinion
        self._judge = judge
        self._people = people
        self.model_name = model_name
        self.model_version = model_version
        self.device = network.device
        self.warnings = warnings

    def warm_up(self) -> None:
        """Run the networks once: a GPU chooses its algorithms then, for seconds; on a CPU it would gain nothing."""
        self.run(np.zeros((8, 8, 3), np.uint8))

    def run(
        self,
        image: RgbImage,
        *,
        subject: Subject = "universal",
        quality: Quality = "best",
        opacity: AlphaChannel | None = None,
    ) -> BackgroundResult:
        """
        Find the subject.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255, upright.
            subject: `universal` keeps whatever stands out; `human` all people with what they wear and carry, and
                nothing else; `product` the thing without its shadow and reflection, with hard edges.
            quality: `fast` does without the second opinion, what knows people and the edges' refinement.
            opacity: (H, W) uint8, 0..255: the alpha channel that the photo has already, if any. The network sees
                the photo over neutral grey, and the result is never more opaque than this.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        """
        height, width = require_rgb(image).shape[:2]
        seen = image
        if opacity is not None:
            seen = over_colour(image, require_alpha(opacity, (height, width)), NEUTRAL_GREY)
        square = shrink_or_grow(seen, (GRID_PX, GRID_PX))
        main = self._network.predict_native(square)
        matte, confidence = self._decide(seen, square, main, subject, quality)
        if _is_flat(square) or looks_empty(matte):
            return _nothing((height, width), confidence)
        small = remove_specks(to_alpha(_FINISH[subject](matte)))
        alpha = resize_alpha(small, (width, height))
        if quality == "best":
            alpha = refine_edges(seen, alpha, is_crisp=subject == "product")
        if opacity is not None:
            cv2.multiply(alpha, opacity, dst=alpha, scale=1 / 255)
        return _result(alpha, confidence)

    def _decide(
        self, image: RgbImage, square: RgbImage, main: Matte, subject: Subject, quality: Quality
    ) -> tuple[Matte, float]:
        """The matte of a pipeline on the grid, and how far it can be trusted."""
        second = main
        if quality == "best" and self._second_opinion is not None:
            second = self._second_opinion.predict_native(square)
        if main.shape[0] != GRID_PX:
            main = resize_matte(main, (GRID_PX, GRID_PX))
        if self._judge is None:
            return main, confidence_of(main, main, second)
        verdicts = self._judge.decide(square, main, second)
        judged = verdicts[subject]
        if subject == "human" and self._people is not None and quality == "best":
            judged = weigh_people(judged, verdicts["universal"], self._people.see_people(image))
        elif subject == "human":
            judged = close_up(judged, verdicts["universal"])
        return fuse(main, judged, square), confidence_of(judged, main, second)


_FINISH: dict[Subject, Callable[[Matte], Matte]] = {"universal": solidify, "human": solidify, "product": crisp}


def _result(alpha: AlphaChannel, confidence: float) -> BackgroundResult:
    area_ratio = float(cv2.mean(alpha)[0]) / 255
    box = bounding_box(alpha)
    if box is None or area_ratio < MIN_AREA_RATIO:
        return _nothing((alpha.shape[0], alpha.shape[1]), confidence)
    return BackgroundResult(
        alpha,
        box,
        area_ratio,
        confidence,
        is_empty=False,
        touches_border=touches_border(alpha),
        subjects=count_subjects(alpha),
    )


def _nothing(shape_hw: tuple[int, int], confidence: float) -> BackgroundResult:
    return BackgroundResult(np.zeros(shape_hw, np.uint8), None, 0.0, confidence, is_empty=True, subjects=0)


def _is_flat(image: RgbImage) -> bool:
    thumbnail = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    return float(cv2.meanStdDev(thumbnail)[1].max()) < MIN_CONTRAST_LEVELS
