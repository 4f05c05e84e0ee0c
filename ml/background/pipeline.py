"""
Background removal: a photo in, the subject's alpha and what is known about it out.

Main network -> second opinion -> judge -> fusion -> solid core -> the photo's own edges. Three pipelines share the
networks and differ in what the judge keeps and in how edges are finished; `human` asks one more, that knows people.

The colours of the cut-out's edge are the caller's next step (`ml.picture.compositing.estimate_foreground`), because the
output keeps the photo's own colour space while the network sees sRGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np

from ml.background.confidence import LOW_BELOW, confidence_of, figure_of, looks_empty
from ml.background.fusion import fuse
from ml.background.pages import Page, judge_page
from ml.background.people import close_up, weigh_people
from ml.picture.compositing import BOX_FROM_ALPHA, bounding_box, crisp, remove_specks, solidify
from ml.picture.refinement import refine_edges
from ml.picture.subject import FoundSubject, count_subjects, touches_border
from ml.picture.transforms import require_alpha, require_rgb, resize_alpha, resize_matte, shrink_or_grow, to_alpha
from ml.picture.transparency import Given, Transparency, on_ground, read_transparency
from ml.picture.types import AlphaChannel, Matte, RgbImage

Subject = Literal["universal", "human", "product"]
Quality = Literal["best", "fast"]

MIN_AREA_RATIO = 0.0005
"""Half a thousandth of the photo (a 23 px square in 1 MP): less is a speck, not a subject."""

ALL_KEPT = {Transparency.CARD: 0.97, Transparency.UNCLEAR: 0.85}
"""Of what is visible of a picture with transparency: where the networks keep so much, all of it is the subject. A card is
nobody's outline, so a network that sees a little less than all of it is right."""

CLEAR_ENOUGH = 0.02
"""Of the picture: with so much cleared, somebody has cut it out; less are a card's corners."""

PIECE_KEPT = 0.15
"""Of a piece of a picture that is cut out already: where people are so much of it, it stays whole."""

MINOR_PIECE = 0.1
"""Of all that is cut out already: where people are, such a piece stays in any case."""

UNSURE = 0.5
"""Confidence, at most, in an outline that came with the picture and in which no network sees anything; in what is written on."""

MIN_CONTRAST_LEVELS = 2.0
"""Standard deviation of the brightness under which a photo is a flat surface."""

GRID_PX, COARSE_PX = 1024, 320
"""The squares on which maps are combined and judged: those of the main network, and of the second opinion and the judge."""


class Network(Protocol):
    """What finds the subject: `ml.background.saliency_network.SaliencyNetwork`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def predict_native(self, image: RgbImage) -> Matte:
        """Find the subject of an (H, W, 3) uint8 sRGB image: a square float32 matte, 0..1, of any size."""
        ...


class Judge(Protocol):
    """What decides between the maps: `ml.background.judge_network.JudgeNetwork`, or a test's fake."""

    def decide(self, square: RgbImage, main: Matte, second: Matte) -> dict[str, Matte]:
        """Say what each pipeline keeps: a square float32 matte, 0..1, for each `Subject`."""
        ...


class People(Protocol):
    """What knows people: `ml.background.people_network.PeopleNetwork`, or a test's fake."""

    def see_people(self, image: RgbImage) -> Matte:
        """Find all the people in an (H, W, 3) uint8 sRGB image: a float32 matte, 0..1, in its proportions."""
        ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """A photo as the networks see it: itself, and all of it squeezed to the two squares (`GRID_PX`, `COARSE_PX`)."""

    image: RgbImage
    square: RgbImage
    coarse: RgbImage


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
    ) -> FoundSubject:
        """
        Find the subject.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255, upright.
            subject: `universal` keeps whatever stands out; `human` all people with what they wear and carry, and
                nothing else; `product` the thing without its shadow and reflection, with hard edges.
            quality: `fast` does without the second opinion, what knows people and the edges' refinement.
            opacity: (H, W) uint8, 0..255: the alpha channel that the photo has already, if any. A subject that is cut out
                already comes back as it is. Else the networks see the photo over a colour that is not the subject's,
                and the result is never more opaque than this.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        """
        shape_hw = require_rgb(image).shape[:2]
        if opacity is None:
            return self._find(image, subject, quality)
        return self._find_within(image, require_alpha(opacity, shape_hw), subject, quality)

    def _find_within(self, image: RgbImage, opacity: AlphaChannel, subject: Subject, quality: Quality) -> FoundSubject:
        """Let the transparency that is there decide where it can, and bound what the networks say where it can't."""
        given = read_transparency(opacity)
        if given.box_xywh is None:
            return _nothing((opacity.shape[0], opacity.shape[1]), 0.0)
        if given.kind is Transparency.OUTLINE and subject != "human":
            return _result(opacity, 1.0, is_as_given=True)
        left, top, width, height = given.box_xywh
        is_card = given.kind is Transparency.CARD
        part = (slice(top, top + height), slice(left, left + width)) if is_card else (slice(None), slice(None))
        found = self._find(np.ascontiguousarray(on_ground(image, opacity)[part]), subject, quality)
        alpha = np.zeros_like(opacity)
        alpha[part] = cv2.multiply(found.alpha, np.ascontiguousarray(opacity[part]), scale=1 / 255)
        if given.kind is Transparency.OUTLINE:
            return _pieces_of(opacity, alpha, found.confidence)
        return _agreed(opacity, alpha, found, given)

    def _find(self, image: RgbImage, subject: Subject, quality: Quality) -> FoundSubject:
        """Find the subject of an opaque picture."""
        height, width = image.shape[:2]
        square = shrink_or_grow(image, (GRID_PX, GRID_PX))
        seen = _Seen(image, square, shrink_or_grow(square, (COARSE_PX, COARSE_PX)))
        main = self._network.predict_native(square)
        matte, confidence = self._decide(seen, main, subject, quality)
        if _is_flat(seen.coarse) or looks_empty(matte):
            return _nothing((height, width), confidence)
        figure = figure_of(matte)
        page = judge_page(square, matte, outline=figure.outline)
        if page is not Page.NO or figure.is_thin:
            confidence = min(confidence, UNSURE)
        if page is Page.YES or figure.is_all_over(confidence):
            return _nothing((height, width), confidence)
        small = remove_specks(to_alpha(_FINISH[subject](matte)))
        alpha = resize_alpha(small, (width, height))
        if quality == "best":
            alpha = refine_edges(image, alpha, is_crisp=subject == "product")
        return _result(alpha, confidence)

    def _decide(self, seen: _Seen, main: Matte, subject: Subject, quality: Quality) -> tuple[Matte, float]:
        """The matte of a pipeline on the grid, and how far it can be trusted."""
        if main.shape[0] != GRID_PX:
            main = resize_matte(main, (GRID_PX, GRID_PX))
        first = second = shrink_or_grow(main, (COARSE_PX, COARSE_PX))
        if quality == "best" and self._second_opinion is not None:
            second = self._second_opinion.predict_native(seen.coarse)
        if self._judge is None:
            return main, confidence_of(first, first, second)
        verdicts = self._judge.decide(seen.coarse, first, second)
        judged = verdicts[subject]
        if subject == "human" and self._people is not None and quality == "best":
            judged = weigh_people(judged, verdicts["universal"], self._people.see_people(seen.image))
        elif subject == "human":
            judged = close_up(judged, verdicts["universal"])
        return fuse(main, judged, seen.square, coarse=first), confidence_of(judged, first, second)


_FINISH: dict[Subject, Callable[[Matte], Matte]] = {"universal": solidify, "human": solidify, "product": crisp}


def _agreed(opacity: AlphaChannel, alpha: AlphaChannel, found: FoundSubject, given: Given) -> FoundSubject:
    """The networks' word, where they are sure and take less than all; else the transparency's, where there is enough of it."""
    kept = float(cv2.sumElems(alpha)[0]) / float(cv2.sumElems(opacity)[0])
    if kept >= ALL_KEPT[given.kind]:
        return _result(opacity, found.confidence, is_as_given=True)
    if (found.is_empty or found.confidence < LOW_BELOW) and given.clear_share >= CLEAR_ENOUGH:
        return _result(opacity, min(UNSURE, found.confidence), is_as_given=True)
    return (
        _nothing((opacity.shape[0], opacity.shape[1]), found.confidence)
        if found.is_empty
        else _result(alpha, found.confidence)
    )


def _pieces_of(opacity: AlphaChannel, alpha: AlphaChannel, confidence: float) -> FoundSubject:
    """Those pieces of what is cut out already that a network keeps a part of, each as it is."""
    height, width = opacity.shape
    scale = min(1.0, GRID_PX / max(height, width))
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small, kept = shrink_or_grow(opacity, size_wh), shrink_or_grow(alpha, size_wh)
    visible = np.greater_equal(small, BOX_FROM_ALPHA).view(np.uint8)
    count, labels = cv2.connectedComponents(visible, connectivity=8, ltype=cv2.CV_32S)
    whole, part = (np.bincount(labels.ravel(), plane.ravel(), count) for plane in (small, kept))
    stays = part >= PIECE_KEPT * np.maximum(whole, 1)
    stays[0] = False
    if stays.any():  # somebody is there: a hand, a bag, which are too small to be told from nobody, are theirs
        stays |= whole < MINOR_PIECE * whole.sum()
        stays[0] = False
    if stays[1:].all():
        return _result(opacity, confidence, is_as_given=True)
    near = cv2.dilate(stays[labels].view(np.uint8), np.ones((5, 5), np.uint8))  # with the haze around them
    out = np.zeros_like(opacity)
    cv2.copyTo(opacity, cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST), out)
    return _result(out, confidence, is_as_given=True)


def _result(alpha: AlphaChannel, confidence: float, *, is_as_given: bool = False) -> FoundSubject:
    area_ratio = float(cv2.mean(alpha)[0]) / 255
    box = bounding_box(alpha)
    if box is None or (area_ratio < MIN_AREA_RATIO and not is_as_given):
        return _nothing((alpha.shape[0], alpha.shape[1]), confidence)
    return FoundSubject(
        alpha,
        box,
        area_ratio,
        confidence,
        is_empty=False,
        touches_border=touches_border(alpha),
        subjects=count_subjects(alpha),
        is_as_given=is_as_given,
    )


def _nothing(shape_hw: tuple[int, int], confidence: float) -> FoundSubject:
    return FoundSubject(np.zeros(shape_hw, np.uint8), None, 0.0, confidence, is_empty=True, subjects=0)


def _is_flat(image: RgbImage) -> bool:
    thumbnail = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    return float(cv2.meanStdDev(thumbnail)[1].max()) < MIN_CONTRAST_LEVELS
