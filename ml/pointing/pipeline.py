"""
Background removal by pointing: a photo and clicks or a box in, the alpha of the object that is meant out.

SAM decides which object; a background network's matte and the photo's own pixels decide how its edge looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.compositing import bounding_box, remove_specks
from ml.picture.subject import FoundSubject, touches_border
from ml.picture.transforms import require_alpha, require_rgb, resize_alpha, resize_matte, shrink_or_grow, to_alpha
from ml.picture.transparency import on_ground
from ml.picture.types import AlphaChannel, Mask, Matte, RgbImage
from ml.pointing.object_edges import soften

Floats = NDArray[np.float32]

SALIENCE_WEIGHT = 0.4
"""How much a mask's overlap with the subject counts beside SAM's own opinion, where a click may mean several things."""

TOUCH_RADIUS_SHARE = 4 / 1024
"""A click this near to a mask is on it: nobody hits a thin thing's very pixels."""

DROP_RADIUS_SHARE = 16 / 1024
"""What goes around a point to drop where SAM means the same thing by it as by a point to keep."""

SURE_IOU = 0.9
"""From here on, SAM's one mask for several points is believed; below, it may be a mask of all that lies between them."""

PIECE_SHARE = 0.02
"""Of the largest piece: smaller pieces of a mask that nobody pointed at are SAM's crumbs."""

HOLE_SHARE = 0.0005
"""Of the photo: smaller holes in a mask that nobody pointed at are SAM's moth holes."""


SUBJECT_SHARE, SUBJECT_HELD = 0.4, 0.8
"""A box's uncertain mask is the subject with ground around it where the subject is this much of it, and this much in it."""

HOLE_FILLED = 0.2
"""The subject's matte over a hole in SAM's mask: from here on it is no hole, but a shoe's inside."""


class EmbeddingLike(Protocol):
    """What a Pointer knows of a photo."""

    @property
    def features(self) -> Floats:
        """The network's own."""
        ...

    @property
    def shape_hw(self) -> tuple[int, int]:
        """The photo's size as the Pointer was shown it: prompts and masks are in these pixels."""
        ...


E = TypeVar("E", bound=EmbeddingLike)


class Pointer(Protocol[E]):
    """What finds objects: `ml.pointing.sam.SamNetwork`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def embed(self, image: RgbImage) -> E:
        """Look at an (H, W, 3) uint8 sRGB image."""
        ...

    def segment(
        self, embedding: E, *, points_xy: Floats, labels: Floats, box_xyxy: Floats | None, is_ambiguous: bool
    ) -> tuple[Floats, Floats]:
        """Give (C, H, W) float32 logits, more than 0 inside, and (C,) float32 predicted IoU; C is 3 where ambiguous."""
        ...


@dataclass(frozen=True, slots=True)
class Prompts:
    """
    What a client points at, in pixels of the upright photo.

    Attributes:
        keep_xy, drop_xy: points on what is wanted and on what is not.
        box_xyxy: around what is wanted: left, top, right, bottom.

    Raises:
        ValueError: there is neither a box nor a point to keep.
    """

    keep_xy: tuple[tuple[float, float], ...] = ()
    drop_xy: tuple[tuple[float, float], ...] = ()
    box_xyxy: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if not self.keep_xy and self.box_xyxy is None:
            raise ValueError("a point to keep or a box is needed")

    def scaled(self, scale_x: float, scale_y: float) -> Prompts:
        """The same prompts in a picture of another size."""
        box = self.box_xyxy
        return Prompts(
            tuple((x * scale_x, y * scale_y) for x, y in self.keep_xy),
            tuple((x * scale_x, y * scale_y) for x, y in self.drop_xy),
            None if box is None else (box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y),
        )


@dataclass(frozen=True, slots=True)
class SeenPhoto:
    """
    What both networks know of one photo, whatever is pointed at; worth keeping for the next click.

    Attributes:
        embedding: SAM's.
        matte: the subject's, in eight bits, at the embedding's size.
    """

    embedding: Any
    matte: AlphaChannel

    @property
    def size_bytes(self) -> int:
        """Memory that it holds."""
        return int(self.embedding.features.nbytes + self.matte.nbytes)


class PointingPipeline:
    """Cuts out what is pointed at. Holds no state between calls; many threads may run it at once."""

    def __init__(
        self, network: Pointer[Any], *, matte: Callable[[RgbImage], Matte], model_name: str, model_version: str
    ) -> None:
        """
        Args:
            network: finds objects.
            matte: finds the subject of an (H, W, 3) uint8 sRGB image: float32, 0..1, of any size.
            model_name, model_version: what answers say about the network.
        """
        self._network = network
        self._matte = matte
        self.model_name = model_name
        self.model_version = model_version
        self.device = network.device
        self.warnings: tuple[str, ...] = ()

    def warm_up(self) -> None:
        """Run SAM once: a GPU chooses its algorithms then; on a CPU it would gain nothing."""
        blank = np.zeros((8, 8, 3), np.uint8)
        look = SeenPhoto(self._network.embed(blank), np.zeros((8, 8), np.uint8))
        self.run(blank, Prompts(keep_xy=((4, 4),)), look=look)

    def look(self, image: RgbImage, *, opacity: AlphaChannel | None = None) -> SeenPhoto:
        """
        Run the slow networks, once for any number of prompts.

        Args:
            image, opacity: as for `run`.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        """
        require_rgb(image)
        seen = image if opacity is None else on_ground(image, opacity)
        embedding = self._network.embed(seen)
        size_wh = embedding.shape_hw[1], embedding.shape_hw[0]
        return SeenPhoto(embedding, to_alpha(resize_matte(self._matte(seen), size_wh)))

    def run(
        self, image: RgbImage, prompts: Prompts, *, look: SeenPhoto, opacity: AlphaChannel | None = None
    ) -> FoundSubject:
        """
        Cut out the object that is pointed at, whatever else there is in the photo.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255, upright.
            prompts: what is meant, in its pixels.
            look: what `look` gave for this very photo.
            opacity: (H, W) uint8, 0..255: the alpha channel that the photo has already, if any.

        Returns:
            The object; its confidence is SAM's predicted IoU, 0..1. Empty where nothing of it is left or visible.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        """
        height, width = require_rgb(image).shape[:2]
        rows, columns = look.embedding.shape_hw
        meant = _Search(self._network, look, prompts.scaled(columns / width, rows / height)).find()
        small = shrink_or_grow(image, (columns, rows))
        alpha = remove_specks(resize_alpha(soften(small, meant.mask, look.matte), (width, height)))
        if opacity is not None:
            cv2.multiply(alpha, require_alpha(opacity, (height, width)), dst=alpha, scale=1 / 255)
        box = bounding_box(alpha)
        if box is None:
            return FoundSubject(np.zeros((height, width), np.uint8), None, 0.0, meant.iou, is_empty=True)
        # How many things were meant is the caller's own choice: `subjects` stays 1.
        area_ratio, is_cut = float(cv2.mean(alpha)[0]) / 255, touches_border(alpha)
        return FoundSubject(alpha, box, area_ratio, meant.iou, is_empty=False, touches_border=is_cut)


def _inside(prompts: Prompts, shape_hw: tuple[int, ...]) -> Prompts:
    """Points on the right or lower border belong to the last pixel."""
    bottom, right = shape_hw[0] - 1, shape_hw[1] - 1

    def on_pixels(points_xy: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((min(x, right), min(y, bottom)) for x, y in points_xy)

    return Prompts(on_pixels(prompts.keep_xy), on_pixels(prompts.drop_xy), prompts.box_xyxy)


def _overlap(one: Mask, other: Mask) -> float:
    """Intersection over union, 0..1."""
    return int(np.count_nonzero(one & other)) / max(1, int(np.count_nonzero(one | other)))


@dataclass(frozen=True, slots=True)
class _Found:
    """A mask at the embedding's size, and its predicted IoU, 0..1."""

    mask: Mask
    iou: float


class _Search:
    """One request's questions to SAM, in the embedding's pixels."""

    def __init__(self, network: Pointer[Any], look: SeenPhoto, prompts: Prompts) -> None:
        self._network = network
        self._look = look
        self._prompts = _inside(prompts, look.matte.shape)
        self._touch_px = max(1, round(TOUCH_RADIUS_SHARE * max(look.matte.shape)))

    def find(self) -> _Found:
        """What is meant: one mask for all prompts, else the union of what each point means, without what is dropped."""
        prompts = self._prompts
        found = self._ask(prompts.keep_xy, prompts.drop_xy, prompts.box_xyxy)
        if not all(self._is_on(found.mask, point) for point in prompts.keep_xy):
            found = self._union(found)
        elif len(prompts.keep_xy) > 1 and prompts.box_xyxy is None and found.iou < SURE_IOU:
            found = max(self._union(found), found, key=lambda each: each.iou)  # two things, or one that is hard to see
        elif (
            prompts.drop_xy and found.iou < SURE_IOU
        ):  # the drops unsettle SAM: they may be taken off a mask without them
            found = max(self._ask(prompts.keep_xy, (), prompts.box_xyxy), found, key=lambda each: each.iou)
        if prompts.box_xyxy is not None and found.iou < SURE_IOU:
            found = _Found(self._without_ground(found.mask, prompts.box_xyxy), found.iou)
        for point in prompts.drop_xy:
            if self._is_on(found.mask, point, radius_px=0):
                found = _Found(found.mask & ~self._unwanted(point), found.iou)
        return _Found(self._tidied(found.mask), found.iou)

    def _without_ground(self, mask: Mask, box_xyxy: tuple[float, float, float, float]) -> Mask:
        """SAM takes what is in a box for one thing; where that is the subject's parts and the ground between, they stay."""
        x0, y0, x1, y1 = (max(0, round(side)) for side in box_xyxy)
        subject = np.zeros_like(mask)
        subject[y0:y1, x0:x1] = self._look.matte[y0:y1, x0:x1] > 255 * HOLE_FILLED
        area = np.count_nonzero(subject)
        if area < SUBJECT_SHARE * np.count_nonzero(mask) or np.count_nonzero(mask & subject) < SUBJECT_HELD * area:
            return mask
        kept = mask & subject
        for x, y in self._prompts.keep_xy:
            if not self._is_on(kept, (x, y)):
                return mask
        return kept

    def _union(self, found: _Found) -> _Found:
        """Without a box each point speaks for itself; with one, the points that its mask leaves out do."""
        mask, ious = (found.mask, [found.iou]) if self._prompts.box_xyxy else (np.zeros_like(found.mask), [])
        for point in self._prompts.keep_xy:
            if not self._is_on(mask, point):
                more = self._ask((point,), self._prompts.drop_xy, None)
                mask = mask | more.mask
                ious.append(more.iou)
        return _Found(mask, min(ious))

    def _ask(
        self,
        keep_xy: Sequence[tuple[float, float]],
        drop_xy: Sequence[tuple[float, float]],
        box_xyxy: tuple[float, float, float, float] | None,
    ) -> _Found:
        # One click alone may mean a part or the whole; more prompts say enough for SAM's own single answer.
        is_ambiguous = len(keep_xy) == 1 and not drop_xy and box_xyxy is None
        masks, ious = self._masks(keep_xy, drop_xy, box_xyxy, is_ambiguous=is_ambiguous)
        best = self._choose(masks, ious, keep_xy[0]) if is_ambiguous else int(ious.argmax())
        return _Found(masks[best], float(np.clip(ious[best], 0, 1)))

    def _masks(
        self,
        keep_xy: Sequence[tuple[float, float]],
        drop_xy: Sequence[tuple[float, float]],
        box_xyxy: tuple[float, float, float, float] | None,
        *,
        is_ambiguous: bool,
    ) -> tuple[NDArray[np.bool_], Floats]:
        points_xy = np.asarray([*keep_xy, *drop_xy], np.float32).reshape(-1, 2)
        labels = np.asarray([1] * len(keep_xy) + [0] * len(drop_xy), np.float32)
        box = None if box_xyxy is None else np.asarray(box_xyxy, np.float32)
        logits, ious = self._network.segment(
            self._look.embedding, points_xy=points_xy, labels=labels, box_xyxy=box, is_ambiguous=is_ambiguous
        )
        return logits > 0, ious

    def _choose(self, masks: NDArray[np.bool_], ious: Floats, point: tuple[float, float]) -> int:
        """Which of part, subpart and whole: what SAM trusts, and rather the subject than its shirt where the click is on it."""
        subject = self._look.matte > 127
        weight = SALIENCE_WEIGHT if self._is_on(subject, point) else 0.0
        overlaps = [_overlap(mask, subject) if weight else 0.0 for mask in masks]
        scores = [
            float(iou) + weight * overlap - (0 if self._is_on(mask, point) else 1)
            for mask, iou, overlap in zip(masks, ious, overlaps, strict=True)
        ]
        return int(np.argmax(scores))

    def _unwanted(self, point: tuple[float, float]) -> Mask:
        """What a point to drop means: the mask that SAM trusts most of those that hold no point to keep."""
        masks, ious = self._masks((point,), (), None, is_ambiguous=True)
        for place in np.argsort(-ious):
            mask: Mask = masks[place]
            if self._is_on(mask, point) and not any(
                self._is_on(mask, kept, radius_px=0) for kept in self._prompts.keep_xy
            ):
                return mask
        return self._disc(point)

    def _disc(self, point: tuple[float, float]) -> Mask:
        disc = np.zeros(self._look.matte.shape, np.uint8)
        radius_px = max(4, round(DROP_RADIUS_SHARE * max(disc.shape)))
        cv2.circle(disc, (int(point[0]), int(point[1])), radius_px, 1, cv2.FILLED)
        return disc.astype(bool)

    def _is_on(self, mask: Mask, point: tuple[float, float], *, radius_px: int | None = None) -> bool:
        reach = self._touch_px if radius_px is None else radius_px
        x, y = int(point[0]), int(point[1])
        around = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        return bool(around.any())

    def _tidied(self, mask: Mask) -> Mask:
        """Without crumbs and moth holes that nobody pointed at, nor with holes that the subject fills (a shoe's inside)."""
        found = _Pieces(mask, self._look.matte)
        kept = found.where(found.areas >= PIECE_SHARE * found.areas.max(initial=0), self._prompts.keep_xy)
        around = _Pieces(~kept, self._look.matte)
        are_open = (around.areas >= HOLE_SHARE * mask.size) & (around.levels < HOLE_FILLED)
        return ~around.where(are_open | around.touch_border, self._prompts.drop_xy)


class _Pieces:
    """
    What hangs together in a mask.

    Attributes:
        areas: (N,) in pixels.
        levels: (N,) 0..1, the mean of the subject's matte on each.
        touch_border: (N,) bool.
    """

    def __init__(self, mask: Mask, matte: AlphaChannel) -> None:
        count, self._labels, facts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        self.areas = np.asarray(facts[1:, cv2.CC_STAT_AREA], np.int32)
        totals = np.bincount(self._labels.ravel(), matte.ravel(), count)[1:]
        self.levels = np.divide(totals, 255 * self.areas, dtype=np.float32, casting="same_kind")
        left, top = facts[1:, cv2.CC_STAT_LEFT], facts[1:, cv2.CC_STAT_TOP]
        right, bottom = left + facts[1:, cv2.CC_STAT_WIDTH], top + facts[1:, cv2.CC_STAT_HEIGHT]
        self.touch_border = (left == 0) | (top == 0) | (right == mask.shape[1]) | (bottom == mask.shape[0])

    def where(self, stays: NDArray[np.bool_], pointed_at: Sequence[tuple[float, float]]) -> Mask:
        """The pieces that stay, and those with a point on them."""
        kept = np.concatenate([[False], stays])
        for x, y in pointed_at:
            kept[self._labels[int(y), int(x)]] = True
        kept[0] = False
        return np.asarray(kept[self._labels], bool)
