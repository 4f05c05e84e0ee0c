"""From photos and recipes to measures: one `Judged` for each pair of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ml.evaluation import metrics
from ml.evaluation.edges import EdgeColours, edge_colours
from ml.evaluation.recipes import Cut, Recipe
from ml.evaluation.sets import Photo, SetReader, is_held_out, sample


@dataclass(frozen=True, slots=True)
class Judged:
    """
    How far one recipe's cut of one photo is from its truth.

    Attributes:
        set_name, stem: the photo.
        recipe: the recipe's name.
        held_out: it belongs to the third that nothing is tuned on.
        mae, iou, boundary_iou, precision, recall, s_measure: 0..1.
        sad, gradient: in thousands.
        curves: precision and recall at 255 thresholds.
        confidence: 0..1 where the recipe has one.
        is_empty: the recipe says that there is no subject.
        seconds: what the cut took, wall clock.
    """

    set_name: str
    stem: str
    recipe: str
    held_out: bool
    mae: float
    iou: float
    boundary_iou: float
    precision: float
    recall: float
    s_measure: float
    sad: float
    gradient: float
    curves: metrics.Curves
    confidence: float | None
    is_empty: bool
    seconds: float


class Watcher(Protocol):
    """Who wants to see the pictures while they are in memory: the contact sheet."""

    def see(self, photo: Photo, cuts: Mapping[str, Cut], judged: Mapping[str, Judged]) -> None:
        """One photo, what each recipe made of it and how it was judged; both by the recipe's name."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One photo of one set, judged under every recipe; edge colours where its truth is a soft alpha."""

    judged: Sequence[Judged]
    edges: EdgeColours | None


def count(readers: Sequence[SetReader], limit: int | None) -> int:
    """How many photos `run` will go through."""
    return sum(len(sample(reader.stems, limit)) for reader in readers)


def run(
    readers: Sequence[SetReader], recipes: Mapping[str, Recipe], *, limit: int | None, watcher: Watcher | None = None
) -> Iterator[Step]:
    """
    Cut and judge photo by photo.

    Args:
        limit: at most so many photos of each set.

    Raises:
        EvaluationError: a photo or its truth can't be decoded.
    """
    for reader in readers:
        for stem in sample(reader.stems, limit):
            photo = reader.read(stem)
            cuts, judged = {}, {}
            for name, recipe in recipes.items():
                began = time.perf_counter()
                cuts[name] = recipe(photo.image, reader.labelled.subject)
                took_s = time.perf_counter() - began
                judged[name] = judge(cuts[name], photo, set_name=reader.labelled.name, recipe=name, seconds=took_s)
            if watcher:
                watcher.see(photo, cuts, judged)
            has_alpha = reader.labelled.truth == "alpha"
            yield Step(list(judged.values()), edge_colours(photo.image, photo.truth) if has_alpha else None)


def judge(cut: Cut, photo: Photo, *, set_name: str, recipe: str, seconds: float) -> Judged:
    """Measure one cut of a photo against its truth. Raises ShapeError where their sizes differ."""
    truth = photo.truth
    precision, recall = metrics.precision_recall(cut.matte, truth)
    return Judged(
        set_name=set_name,
        stem=photo.stem,
        recipe=recipe,
        held_out=is_held_out(photo.stem),
        mae=metrics.mean_absolute_error(cut.matte, truth),
        iou=metrics.iou(cut.matte, truth),
        boundary_iou=metrics.boundary_iou(cut.matte, truth),
        precision=precision,
        recall=recall,
        s_measure=metrics.s_measure(cut.matte, truth),
        sad=metrics.sad(cut.matte, truth),
        gradient=metrics.gradient_error(cut.matte, truth),
        curves=metrics.curves(cut.matte, truth),
        confidence=cut.confidence,
        is_empty=cut.is_empty,
        seconds=seconds,
    )
