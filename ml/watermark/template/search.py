"""
Find a customer's own mark in a photo: which place, which size, how strong.

Places are proposed by correlation: of gradient lengths, so that the mark is found on bright and dark ground alike, and of
what differs from its surroundings; at the size that was given, then over all sizes on a small copy and ever closer on the
photo's own pixels. What decides is the photo itself: how surely the difference that this mark would make is in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import Matte, RgbImage
from ml.watermark.regions import FEWEST_TILES, Region
from ml.watermark.repairing import Repairer
from ml.watermark.template.job import TemplateJob
from ml.watermark.template.mark import MarkTemplate
from ml.watermark.unblending import Pixels, agreement, look_around, shape_of

COARSE_SIDE_PX, FINE_SIDE_PX = 420, 2400
SMALLEST_SCALE, LARGEST_SCALE, SCALES = 0.25, 4.0, 93
LEAST_SIDE_PX = 6
"""Of the mark in the copy that is searched."""

MOST_EDGE = 200.0

OTHER_PLACES, LEAST_LIKENESS = 0.35, 0.13
"""Of the best place's correlation, and at all: what another place of a mark that repeats must reach."""

PROPOSED, APART_PX = 8, 3
"""Places that each correlation proposes, and how far they are from each other."""

MOST_PLACES = 200
LEAST_STRENGTH, MOST_STRENGTH = 0.15, 1.8

SURE, SURE_AGAIN = 12.0, 7.0
"""Standard errors by which a mark's strength is above nothing: what the first place must reach, and others of the same mark.
Measured on 30 marks of all kinds, opacity 0.13 to 0.8: 22 to 450 where they are, 6.4 at most in photos without them."""

SMOOTH_PX, PATCH_PX, CORRELATED = 4.0, 15, 9.0
"""Differences are from means of this sigma, weighed by how rough patches of this side are; neighbours are alike, which
makes the variance so much larger."""

LEVELS_SQUARED = 6.0
SEEN_PIXELS = 400_000
AS_GIVEN_SLACK = 1.05


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mark lies: its left and top in the photo, photo pixels for one of the template, and the correlation."""

    left: float
    top: float
    scale: float
    likeness: float


def place_template(image: RgbImage, template: MarkTemplate, *, repairer: Repairer | None = None) -> list[TemplateJob]:
    """
    Find a mark in a photo.

    Args:
        repairer: asked as well about marks that were learned.

    Returns:
        A job for each place where it lies; none where it isn't there. Of a mark that repeats, each job names the
        region of all together.
    """
    height, width = image.shape[:2]
    if template.place_xywh is not None and template.place_xywh[2:] == (width, height):
        places = [Place(template.place_xywh[0], template.place_xywh[1], 1.0, 1.0)]
    else:
        places = _search(image, template)
    jobs = [job for place in places if (job := _job(image, template, place)) is not None]
    if template.is_learned:
        jobs = [replace(job, repairer=repairer) for job in jobs]
    if len(jobs) < FEWEST_TILES:
        return jobs
    boxes = np.array([job.region.bbox_xywh for job in jobs])
    left, top = boxes[:, 0].min(), boxes[:, 1].min()
    right, bottom = (boxes[:, 0] + boxes[:, 2]).max(), (boxes[:, 1] + boxes[:, 3]).max()
    whole = Region((int(left), int(top), int(right - left), int(bottom - top)), jobs[0].region.score, "tiled")
    return [replace(job, region=whole) for job in jobs]


def _search(image: RgbImage, template: MarkTemplate) -> list[Place]:
    fine = min(1.0, FINE_SIDE_PX / max(image.shape[:2]))
    as_given = _surest(image, template, _proposed(image, template, fine))
    if as_given is not None:
        whole = replace(as_given, left=round(as_given.left), top=round(as_given.top))  # most marks lie on whole pixels
        return _all_places(image, template, fine, _surest(image, template, [as_given, whole]) or as_given)
    coarse = min(1.0, COARSE_SIDE_PX / max(image.shape[:2]))
    best = _best_at(image, template, coarse, np.geomspace(SMALLEST_SCALE, LARGEST_SCALE, SCALES))
    if best is None:
        return []
    for spread in (0.045, 0.012, 0.003):
        scales = best.scale * (1 + np.linspace(-spread, spread, 7))
        best = _best_at(image, template, fine, scales, near=best) or best
    plain = _best_at(image, template, fine, np.ones(1), near=best) if abs(best.scale - 1) < 0.02 else None
    if plain is not None and plain.likeness > 0.97 * best.likeness:
        best = plain
    sure = _surest(image, template, [best])
    return _all_places(image, template, fine, sure) if sure is not None else []


def _proposed(image: RgbImage, template: MarkTemplate, share: float) -> list[Place]:
    """Places where the mark may be at the size that was given."""
    size_wh = max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share))
    grey = cv2.cvtColor(shrink_or_grow(image, size_wh), cv2.COLOR_RGB2GRAY).astype(np.float32)
    differs = _different(grey)
    even = np.asarray(differs / (np.sqrt(cv2.blur(differs**2, (PATCH_PX, PATCH_PX))) + 2), np.float32)
    rows, columns = template.alpha.shape
    mark = shrink_or_grow(template.alpha, (max(1, round(columns * share)), max(1, round(rows * share))))
    if min(mark.shape) < LEAST_SIDE_PX or mark.shape[0] > grey.shape[0] or mark.shape[1] > grey.shape[1]:
        return []
    places: list[Place] = []
    for seen, wanted in ((_photo_edges(image, share), _mark_edges(template, share)), (even, _different(mark))):
        likeness = np.abs(np.asarray(cv2.matchTemplate(seen, wanted, cv2.TM_CCOEFF_NORMED), np.float32))
        for _ in range(PROPOSED):
            _, highest, _, (left, top) = cv2.minMaxLoc(likeness)
            if highest <= 0:
                break
            across, down = _between(likeness, left, top)
            if not any(abs(p.left * share - across) + abs(p.top * share - down) < 1 for p in places):
                places.append(Place(across / share, down / share, 1.0, float(highest)))
            around = (
                slice(max(0, top - APART_PX), top + APART_PX + 1),
                slice(max(0, left - APART_PX), left + APART_PX + 1),
            )
            likeness[around] = 0
    return places


def _surest(image: RgbImage, template: MarkTemplate, places: list[Place]) -> Place | None:
    """The place where the mark is seen most surely; None where it is at none of them."""
    seen = [(_evidence_at(image, template, place), place) for place in places]
    best = max(seen, key=lambda pair: pair[0].surprise, default=None)
    return best[1] if best is not None and best[0].is_believed(SURE) else None


@dataclass(frozen=True, slots=True)
class _Evidence:
    """How strong the mark is at a place, 1 as in its template, and by how many standard errors that is above nothing."""

    strength: float
    surprise: float

    def is_believed(self, least: float) -> bool:
        return self.surprise >= least and LEAST_STRENGTH <= self.strength <= MOST_STRENGTH


def _evidence_at(image: RgbImage, template: MarkTemplate, place: Place) -> _Evidence:
    job = _laid(image, template, place)
    return _Evidence(0, 0) if job is None else _evidence(*_seen(image, job))


def _seen(image: RgbImage, job: TemplateJob) -> tuple[Pixels, Matte, Pixels]:
    """The photo around a mark, the mark's alpha and ink there: shrunk where they are large."""
    part, alpha, ink = job.with_margin(image.shape[:2])
    share = min(1.0, math.sqrt(SEEN_PIXELS / alpha.size))
    size_wh = max(1, round(alpha.shape[1] * share)), max(1, round(alpha.shape[0] * share))
    pixels = shrink_or_grow(np.ascontiguousarray(image[part]), size_wh).astype(np.float32)
    return pixels, shrink_or_grow(alpha, size_wh), shrink_or_grow(ink, size_wh)


def _evidence(pixels: Pixels, alpha: Matte, ink: Pixels) -> _Evidence:
    """
    Weighted least squares of what differs in the photo on what the mark would make differ there.

    Differences from a local mean leave the photo's own shading out; weights leave its rough parts out.
    """
    wanted = _different(ink - alpha[..., None] * look_around(pixels, shape_of(alpha)).fill)
    found = rest = _different(pixels)
    strength = surprise = 0.0
    for _ in range(2):  # the mark itself is no roughness: it is taken away before weighing again
        rough = cv2.blur((rest**2).mean(2), (PATCH_PX, PATCH_PX))
        weighed = wanted / (rough + LEVELS_SQUARED)[..., None]
        total = float((weighed * wanted).sum())
        if total <= 0:
            break
        strength = float((weighed * found).sum()) / total
        rest = found - strength * wanted
        error = math.sqrt(CORRELATED * float(((weighed * rest) ** 2).sum())) / total
        surprise = strength / max(error, 1e-6)
    return _Evidence(strength, surprise)


def _different(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(plane - cv2.GaussianBlur(plane, (0, 0), SMOOTH_PX), np.float32)


def _best_at(
    image: RgbImage,
    template: MarkTemplate,
    share: float,
    scales: NDArray[np.float64],
    *,
    near: Place | None = None,
) -> Place | None:
    """The likeliest place over some scales, on a copy of `share` of the photo's size, or of the part around `near`."""
    x0, y0, x1, y1 = _part(image, template, near)
    seen = _photo_edges(image[y0:y1, x0:x1], share)
    best: Place | None = None
    most = -1.0
    for scale in scales:
        mark = _mark_edges(template, scale * share)
        if min(mark.shape) < LEAST_SIDE_PX or mark.shape[0] > seen.shape[0] or mark.shape[1] > seen.shape[1]:
            continue
        likeness = np.asarray(cv2.matchTemplate(seen, mark, cv2.TM_CCOEFF_NORMED), np.float32)
        _, highest, _, (left, top) = cv2.minMaxLoc(likeness)
        surprise = _surprise(highest, mark)
        if best is None or surprise > most:
            most = surprise
            across, down = _between(likeness, left, top)
            best = Place(x0 + across / share, y0 + down / share, float(scale), float(highest))
    return best


def _surprise(likeness: float, mark: NDArray[np.float32]) -> float:
    """A small mark is like something everywhere: how far a correlation is beyond chance, for a mark of that size."""
    return float(np.arctanh(min(likeness, 0.999)) * math.sqrt(np.count_nonzero(mark > 0.25 * mark.max())))


def _part(image: RgbImage, template: MarkTemplate, near: Place | None) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    if near is None:
        return 0, 0, width, height
    rows, columns = template.alpha.shape
    pad = 12 + 0.06 * near.scale * max(rows, columns) + 2 * max(height, width) / COARSE_SIDE_PX
    return (
        max(0, int(near.left - pad)),
        max(0, int(near.top - pad)),
        min(width, math.ceil(near.left + columns * near.scale + pad)),
        min(height, math.ceil(near.top + rows * near.scale + pad)),
    )


def _between(likeness: NDArray[np.float32], left: int, top: int) -> tuple[float, float]:
    """The peak between the pixels: the vertex of the parabola through it and its neighbours."""

    def vertex(before: float, here: float, after: float) -> float:
        bend = before - 2 * here + after
        return 0.0 if bend >= 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))

    rows, columns = likeness.shape
    x = vertex(*likeness[top, left - 1 : left + 2]) if 0 < left < columns - 1 else 0.0
    y = vertex(*likeness[top - 1 : top + 2, left]) if 0 < top < rows - 1 else 0.0
    return left + x, top + y


def _all_places(image: RgbImage, template: MarkTemplate, share: float, best: Place) -> list[Place]:
    """The best place and all others that come near to it, at the same scale."""
    seen, mark = _photo_edges(image, share), _mark_edges(template, best.scale * share)
    likeness = np.asarray(cv2.matchTemplate(seen, mark, cv2.TM_CCOEFF_NORMED), np.float32)
    least = max(LEAST_LIKENESS, OTHER_PLACES * best.likeness)
    places = [best]
    rows, columns = (max(2, int(0.6 * side)) for side in mark.shape)

    def forget(left: float, top: float) -> None:
        likeness[max(0, int(top) - rows) : int(top) + rows, max(0, int(left) - columns) : int(left) + columns] = -1

    forget((best.left) * share, best.top * share)
    while len(places) < MOST_PLACES:
        _, highest, _, (left, top) = cv2.minMaxLoc(likeness)
        if highest < least:
            break
        across, down = _between(likeness, left, top)
        places.append(Place(across / share, down / share, best.scale, float(highest)))
        forget(left, top)
    return places


def _photo_edges(image: RgbImage, share: float) -> NDArray[np.float32]:
    size_wh = max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share))
    grey = cv2.cvtColor(shrink_or_grow(image, size_wh), cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Strong edges of the photo would drown those of a faint mark.
    return _sharp(np.minimum(_gradient(grey), MOST_EDGE))


def _mark_edges(template: MarkTemplate, scale: float) -> NDArray[np.float32]:
    rows, columns = template.alpha.shape
    size_wh = max(1, round(columns * scale)), max(1, round(rows * scale))
    return np.maximum(_sharp(_gradient(shrink_or_grow(template.alpha, size_wh))), 0)


def _sharp(length: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without what is even over some pixels: lawn has edges everywhere."""
    root = np.sqrt(length)
    return np.asarray(root - cv2.blur(root, (9, 9)), np.float32)


def _gradient(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(
        cv2.magnitude(cv2.Scharr(plane, cv2.CV_32F, 1, 0), cv2.Scharr(plane, cv2.CV_32F, 0, 1)), np.float32
    )


def _job(image: RgbImage, template: MarkTemplate, place: Place) -> TemplateJob | None:
    """The mark at its place and as strong as it is there, if it is seen there."""
    job = _laid(image, template, place)
    if job is None:
        return None
    pixels, alpha, ink = _seen(image, job)
    evidence = _evidence(pixels, alpha, ink)
    if not evidence.is_believed(SURE_AGAIN):
        return None
    strength = np.float32(_strength(pixels, alpha, ink, evidence))
    strong = strength / max(np.float32(1), strength * job.alpha.max() / np.float32(0.995))
    score = evidence.surprise / (evidence.surprise + SURE_AGAIN) if evidence.surprise > 0 else 0.0
    region = replace(job.region, score=float(score))
    return replace(job, region=region, alpha=job.alpha * strong, ink=job.ink * strong)


def _laid(image: RgbImage, template: MarkTemplate, place: Place) -> TemplateJob | None:
    """The mark at its place, as strong as in its template."""
    height, width = image.shape[:2]
    left, top = math.floor(place.left), math.floor(place.top)
    rows, columns = template.alpha.shape
    size_wh = math.ceil(columns * place.scale) + 1, math.ceil(rows * place.scale) + 1
    alpha, ink = _warped(template.alpha, place, size_wh), _warped(template.ink, place, size_wh)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + size_wh[0]), min(height, top + size_wh[1])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    inner = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    return TemplateJob(Region((x0, y0, x1 - x0, y1 - y0), 1.0, "logo"), x0, y0, alpha[inner], ink[inner])


def _strength(pixels: Pixels, alpha: Matte, ink: Pixels, evidence: _Evidence) -> float:
    """As in the template, or as measured: whichever leaves less of the mark. Fills that are off measure too little."""
    shape = shape_of(alpha)

    def left_over(strength: float) -> float:
        left = np.maximum(1 - strength * alpha, 0.04)[..., None]
        after = np.clip((pixels - strength * ink) / left, 0, 255).astype(np.float32)
        return agreement(pixels, after, shape) * (1 if strength == 1 else AS_GIVEN_SLACK)

    measured = min(MOST_STRENGTH, max(LEAST_STRENGTH, evidence.strength))
    return min((1.0, measured), key=left_over)


def _warped(pixels: NDArray[np.float32], place: Place, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """The mark at the photo's scale, its first pixel at the whole pixel left and above of its place."""
    x, y = place.left - math.floor(place.left), place.top - math.floor(place.top)
    if place.scale == 1.0 and max(abs(x - round(x)), abs(y - round(y))) < 0.15:
        x, y = round(x), round(y)
    source, scale = pixels, place.scale
    if scale < 0.7:
        small_wh = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        source, scale = shrink_or_grow(pixels, small_wh), 1.0
    matrix = np.array([[scale, 0, x + (scale - 1) / 2], [0, scale, y + (scale - 1) / 2]])
    return np.asarray(cv2.warpAffine(source, matrix, size_wh, flags=cv2.INTER_LINEAR), np.float32)
