"""
Clothing segmentation: a photo in, one soft cut-out a garment class out.

A glance at the whole photo finds who wears something or what lies there -> a closer look at that part, large enough for
shoes and hats -> each garment takes one class -> soft outer edges, brought to the photo's own; the classes share what
is inside of them without gap or overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.clothing.garments import DRESS, GARMENTS, SKIRT
from ml.clothing.network import BODY, NOTHING, Shares, View, unlook, view_of
from ml.clothing.vote import vote
from ml.picture.compositing import bounding_box, remove_specks
from ml.picture.refinement import refine_edges
from ml.picture.transforms import require_rgb, resize_alpha, to_alpha
from ml.picture.transparency import on_ground
from ml.picture.types import AlphaChannel, BoxXywh, BoxXyxy, Mask, Matte, RgbImage

GLANCE_PIXELS, LOOK_PIXELS = 320 * 320, 512 * 224
"""Of the network's input."""

MOST_LOOK_PIXELS = 4 * LOOK_PIXELS
"""For groups: several people in a wide part of the photo are each seen as large as one alone."""

LOOK_MARGIN = 0.06
FOUND_SHARE = 0.5
"""From which on a pixel of the glance belongs to somebody or something."""

MIN_FOUND_SHARE = 0.02
"""Of the largest thing that the glance finds: smaller ones are not looked at."""

VOTE_SIDE_PX, WORK_SIDE_PX = 320, 1024
"""Long sides of the part of the photo: where pieces vote, and where edges are made before the photo's own size."""

MATTE_WEIGHT = 0.25
"""Of the background network's word against the clothing network's: measured on validation, +.005 mean IoU."""

CLEAR_UNTO, SOLID_FROM = 0.2, 0.8
"""Of the clothes' share of a pixel: what is soft between them is the edge."""

MIN_AREA_RATIO = 0.0006
"""Of the photo: a class with less is a stray spot."""

MIN_CONFIDENCE, MIN_UNWORN_CONFIDENCE = 0.4, 0.92
"""Without anybody in the photo, what the network is not sure of is no garment: a boat, a flower, a bird. Measured on 51
flat-lays (all reach .92) and 91 photos without clothes (27 show something, 11 of it above .92)."""

UNWORN_BODY_SHARE = 0.02
"""Of clothes and body together: with less of a body, nobody is in the photo."""


class Network(Protocol):
    """What names pixels: `ml.clothing.network.ClothingNetwork`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def glance(self, image: RgbImage, view: View) -> Shares:
        """Say quickly what a view shows: (10, rows / 2, columns / 2) float32, 0..1."""
        ...

    def predict(self, image: RgbImage, view: View) -> Shares:
        """Say carefully what a view shows: (10, rows / 2, columns / 2) float32, 0..1."""
        ...


@dataclass(frozen=True, slots=True)
class Garment:
    """
    All garments of one class.

    Attributes:
        alpha: (H, W) uint8, 0..255, at the image's size; those of all classes add up to at most 255.
        bbox_xywh: their common box in pixels.
        area_ratio: their share of the photo, 0..1.
        confidence: 0..1: how sure the network is of the class, over its pixels.
    """

    alpha: AlphaChannel
    bbox_xywh: BoxXywh
    area_ratio: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ClothingResult:
    """What was found: classes that are there, in the order of `ml.clothing.garments.GARMENTS`."""

    garments: dict[str, Garment]


class ClothingPipeline:
    """Cuts garments out by class. Holds no state between calls; many threads may run it at once."""

    def __init__(
        self,
        network: Network,
        *,
        saliency: Callable[[RgbImage], Matte] | None = None,
        model_name: str,
        model_version: str,
        warnings: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            network: names pixels.
            saliency: a quick background network, which helps to tell clothes from what is behind them: a square matte
                of the whole photo.
            model_name, model_version: what answers say about it.
            warnings: what an operator should know, one sentence each.
        """
        self._network = network
        self._saliency = saliency
        self.model_name = model_name
        self.model_version = model_version
        self.device = network.device
        self.warnings = warnings

    def run(
        self, image: RgbImage, *, separate_dress: bool = False, opacity: AlphaChannel | None = None
    ) -> ClothingResult:
        """
        Find the garments.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255, upright.
            separate_dress: give dresses a class of their own; else they count as skirts.
            opacity: (H, W) uint8, 0..255: the alpha channel that the photo has already, if any. The network sees the
                photo over a colour that is not its own, and no garment is more opaque than this.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        """
        height, width = require_rgb(image).shape[:2]
        seen = image if opacity is None else on_ground(image, opacity)
        found = self._find(seen)
        if found is None:
            return ClothingResult({})
        box, pixels = found
        view = view_of(box, pixels=pixels, margin=LOOK_MARGIN)
        part = _seen_part(view, (width, height))
        shares = self._network.predict(seen, view)
        if not separate_dress:
            shares[GARMENTS.index(SKIRT)] += shares[GARMENTS.index(DRESS)]
            shares[GARMENTS.index(DRESS)] = 0
        matte = self._saliency(seen) if self._saliency else None
        shares = _named(seen, _SeenView(shares, view, part, matte))
        alphas = _soft(seen, shares, part)
        if opacity is not None:
            alphas = {name: np.asarray(cv2.multiply(a, opacity, scale=1 / 255), np.uint8) for name, a in alphas.items()}
        least = MIN_CONFIDENCE if _is_somebody_there(shares) else MIN_UNWORN_CONFIDENCE
        garments = {name: _garment(alpha, shares[GARMENTS.index(name)], part) for name, alpha in alphas.items()}
        sure = {name: garment for name, garment in garments.items() if garment and garment.confidence >= least}
        return ClothingResult(sure)

    def _find(self, seen: RgbImage) -> tuple[BoxXyxy, int] | None:
        """The part of the photo where people or garments are, and how closely to look at it."""
        height, width = seen.shape[:2]
        view = view_of((0, 0, width, height), pixels=GLANCE_PIXELS, margin=0)
        shares = self._network.glance(seen, view)
        size_wh = _within((width, height), 256)
        there = 1 - unlook(shares, view, box_xyxy=(0, 0, width, height), size_wh=size_wh)[NOTHING]
        _, _, facts, _ = cv2.connectedComponentsWithStats((there >= FOUND_SHARE).astype(np.uint8), connectivity=8)
        things = facts[1:]
        if not len(things) or things[:, cv2.CC_STAT_AREA].max() < 0.5 * MIN_AREA_RATIO * there.size:
            return None
        things = things[things[:, cv2.CC_STAT_AREA] >= MIN_FOUND_SHARE * things[:, cv2.CC_STAT_AREA].max()]
        left, top = things[:, 0].min(), things[:, 1].min()
        right, bottom = (things[:, 0] + things[:, 2]).max(), (things[:, 1] + things[:, 3]).max()
        largest = things[things[:, cv2.CC_STAT_AREA].argmax()]
        crowd = (right - left) * (bottom - top) / max(1, int(largest[2]) * int(largest[3]))
        x, y = width / size_wh[0], height / size_wh[1]
        box = int(left * x), int(top * y), min(width, round(right * x)), min(height, round(bottom * y))
        return box, int(min(MOST_LOOK_PIXELS, LOOK_PIXELS * max(1.0, crowd)))


@dataclass(frozen=True, slots=True)
class _SeenView:
    """What the network said of a view, the part of the photo in it, and the background network's matte of the photo."""

    shares: Shares
    view: View
    part: BoxXyxy
    matte: Matte | None

    def at(self, size_wh: tuple[int, int], photo_wh: tuple[int, int]) -> Shares:
        """(10, h, w) float32 over the part: clothes have more of a pixel where the background network sees a subject."""
        shares = unlook(self.shares, self.view, box_xyxy=self.part, size_wh=size_wh)
        if self.matte is None:
            return shares
        matte = self._part_of(self.matte, size_wh, photo_wh)
        worn = shares[: len(GARMENTS)].sum(0)
        agreed = np.clip(worn + MATTE_WEIGHT * (matte - 0.5), 0, 1)
        shares[: len(GARMENTS)] *= agreed / np.maximum(worn, 1e-6)
        return shares

    def _part_of(self, whole: Matte, size_wh: tuple[int, int], photo_wh: tuple[int, int]) -> Matte:
        rows, columns = whole.shape
        across, down = columns / photo_wh[0], rows / photo_wh[1]
        x0, y0, x1, y1 = self.part
        step_x, step_y = (x1 - x0) / size_wh[0] * across, (y1 - y0) / size_wh[1] * down
        matrix = np.array([[step_x, 0, x0 * across + (step_x - 1) / 2], [0, step_y, y0 * down + (step_y - 1) / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(whole, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
        )


def _named(seen: RgbImage, look: _SeenView) -> Shares:
    """(10, h, w) float32 over the part of the photo: voted on, at the size at which edges are made."""
    x0, y0, x1, y1 = look.part
    photo_wh = seen.shape[1], seen.shape[0]
    small_wh, work_wh = _within((x1 - x0, y1 - y0), VOTE_SIDE_PX), _within((x1 - x0, y1 - y0), WORK_SIDE_PX)
    small = look.at(small_wh, photo_wh)
    image = np.asarray(cv2.resize(seen[y0:y1, x0:x1], small_wh, interpolation=cv2.INTER_AREA), np.uint8)
    voted = vote(small, image, _worn(small))
    return _follow(look.at(work_wh, photo_wh), voted)


def _follow(work: Shares, voted: Shares) -> Shares:
    """What clothes have of each pixel stays the network's; which class has it is what was voted."""
    size_wh = (work.shape[2], work.shape[1])
    worn = work[: len(GARMENTS)].sum(0)
    classes = np.stack([cv2.resize(plane, size_wh, interpolation=cv2.INTER_LINEAR) for plane in voted[: len(GARMENTS)]])
    classes = np.square(np.square(classes))  # the leader takes most of it: a border, not a gradient
    total = classes.sum(0)
    work[: len(GARMENTS)] = np.where(total > 1e-9, classes / np.maximum(total, 1e-9), 0) * worn
    return work


def _is_somebody_there(shares: Shares) -> bool:
    body, clothes = float(shares[BODY].sum()), float(shares[: len(GARMENTS)].sum())
    return body >= UNWORN_BODY_SHARE * (body + clothes)


def _worn(shares: Shares) -> Mask:
    mask: Mask = shares[: len(GARMENTS)].sum(0) >= 0.5
    return mask


def _soft(seen: RgbImage, shares: Shares, part: BoxXyxy) -> dict[str, AlphaChannel]:
    """Each class's alpha at the photo's size; they share the clothes' outer matte, whose edges are the photo's."""
    height, width = seen.shape[:2]
    x0, y0, x1, y1 = part
    worn = np.clip((shares[: len(GARMENTS)].sum(0) - CLEAR_UNTO) / (SOLID_FROM - CLEAR_UNTO), 0, 1)
    outer = remove_specks(resize_alpha(to_alpha(worn.astype(np.float32)), (x1 - x0, y1 - y0)))
    outer = refine_edges(np.ascontiguousarray(seen[y0:y1, x0:x1]), outer)
    planes: dict[str, NDArray[np.uint8]] = {}
    left = outer.copy()
    there = [index for index in range(len(GARMENTS)) if shares[index].max() >= FOUND_SHARE]
    total = np.maximum(shares[there].sum(0), 1e-6) if there else None
    for place, index in enumerate(there):
        if place == len(there) - 1:
            planes[GARMENTS[index]] = left
            break
        share = to_alpha((shares[index] / total).astype(np.float32))
        own = cv2.multiply(outer, resize_alpha(share, (x1 - x0, y1 - y0)), scale=1 / 255)
        planes[GARMENTS[index]] = np.minimum(np.asarray(own, np.uint8), left)
        left = left - planes[GARMENTS[index]]
    alphas = {}
    for name, plane in planes.items():
        alphas[name] = np.zeros((height, width), np.uint8)
        alphas[name][y0:y1, x0:x1] = plane
    return alphas


def _garment(alpha: AlphaChannel, shares: NDArray[np.float32], part: BoxXyxy) -> Garment | None:
    area_ratio = float(cv2.mean(alpha)[0]) / 255
    box = bounding_box(alpha)
    if box is None or area_ratio < MIN_AREA_RATIO:
        return None
    x0, y0, x1, y1 = part
    small = cv2.resize(alpha[y0:y1, x0:x1], (shares.shape[1], shares.shape[0]), interpolation=cv2.INTER_AREA)
    its = shares[small >= 128]
    confidence = float(its.mean()) if its.size else 0.0
    return Garment(alpha, box, area_ratio, confidence)


def _seen_part(view: View, size_wh: tuple[int, int]) -> BoxXyxy:
    """What of the photo lies inside a view."""
    rows, columns = view.shape_hw
    x0, y0 = max(0, int(view.left)), max(0, int(view.top))
    x1 = min(size_wh[0], int(np.ceil(view.left + columns / view.scale)))
    y1 = min(size_wh[1], int(np.ceil(view.top + rows / view.scale)))
    return x0, y0, x1, y1


def _within(size_wh: tuple[int, int], side_px: int) -> tuple[int, int]:
    """The size scaled down so that its long side is `side_px` at most."""
    scale = min(1.0, side_px / max(size_wh))
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))
