"""From measures to Markdown tables and JSON."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ml.evaluation import metrics
from ml.evaluation.edges import EdgeColours
from ml.evaluation.measuring import Judged

FAILED_UNDER_IOU = 0.5
CONFIDENCE_EDGES = (0.0, 0.35, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
_MOST_EMPTY_LISTED = 30

COLUMNS = {
    "MAE": "mae",
    "IoU": "iou",
    "boundary IoU": "boundary_iou",
    "precision": "precision",
    "recall": "recall",
    "S": "s_measure",
    "SAD": "sad",
    "gradient": "gradient",
    "s a photo": "seconds",
}
_FORMS = {"MAE": ".4f", "SAD": ".2f", "gradient": ".2f", "s a photo": ".2f"}


def summary(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Means over all photos of a set, over its held-out third and over the rest, for each recipe."""
    rows = []
    for set_name in dict.fromkeys(one.set_name for one in judged):
        for part, wanted in (("all", (True, False)), ("held out", (True,)), ("the rest", (False,))):
            for recipe in dict.fromkeys(one.recipe for one in judged):
                chosen = [
                    one
                    for one in judged
                    if one.set_name == set_name and one.held_out in wanted and one.recipe == recipe
                ]
                if chosen:
                    rows.append({"set": set_name, "part": part, "recipe": recipe} | _means(chosen))
    return rows


def calibration(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Photos by the confidence of each recipe that has one, beside the IoU that was measured."""
    rows = []
    with_confidence = [one for one in judged if one.confidence is not None]
    for recipe in dict.fromkeys(one.recipe for one in with_confidence):
        for low, high in itertools.pairwise(CONFIDENCE_EDGES):
            is_last = high == CONFIDENCE_EDGES[-1]
            chosen = [
                one
                for one in with_confidence
                if one.recipe == recipe and low <= (one.confidence or 0) and (is_last or (one.confidence or 0) < high)
            ]
            if chosen:
                rows.append(
                    {
                        "recipe": recipe,
                        "from": low,
                        "to": high,
                        "photos": len(chosen),
                        "confidence": statistics.fmean(one.confidence or 0 for one in chosen),
                        "iou": statistics.fmean(one.iou for one in chosen),
                        "failed": statistics.fmean(one.iou < FAILED_UNDER_IOU for one in chosen),
                    }
                )
    return rows


def text(judged: Sequence[Judged], edges: Sequence[EdgeColours]) -> str:
    """Every table, and a line for each photo in which a recipe saw no subject."""
    sections = [
        _grid(
            ["set", "part", "recipe", "photos", *_heads()],
            ([row["set"], row["part"], row["recipe"], str(row["photos"]), *_cells(row)] for row in summary(judged)),
        ),
        _grid(
            ["confidence", "recipe", "photos", "mean confidence", "mean IoU", "IoU < 0.5"],
            (
                [
                    f"{row['from']:.2f} to {row['to']:.2f}",
                    row["recipe"],
                    str(row["photos"]),
                    f"{row['confidence']:.3f}",
                    f"{row['iou']:.3f}",
                    f"{row['failed']:.1%}",
                ]
                for row in calibration(judged)
            ),
        ),
        _edges(edges),
        _empty(judged),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def as_json(judged: Sequence[Judged], edges: Sequence[EdgeColours]) -> dict[str, Any]:
    """Every figure, for another program. The curves are only in the summary's max F."""
    fields = [field.name for field in dataclasses.fields(Judged) if field.name != "curves"]
    return {
        "summary": summary(judged),
        "calibration": calibration(judged),
        "edge_colours": [dataclasses.asdict(one) for one in edges],
        "photos": [{name: getattr(one, name) for name in fields} for one in judged],
    }


def _means(chosen: Sequence[Judged]) -> dict[str, Any]:
    means: dict[str, Any] = {"photos": len(chosen)}
    for name in COLUMNS.values():
        means[name] = statistics.fmean(getattr(one, name) for one in chosen)
    means["failed"] = statistics.fmean(one.iou < FAILED_UNDER_IOU for one in chosen)
    average = metrics.Curves(
        np.mean([one.curves.precision for one in chosen], axis=0),
        np.mean([one.curves.recall for one in chosen], axis=0),
    )
    means["max_f"] = metrics.max_f(average)
    return means


def _heads() -> list[str]:
    heads = list(COLUMNS)
    at = heads.index("precision")
    return [*heads[:at], "IoU < 0.5", *heads[at : at + 2], "max F", *heads[at + 2 :]]


def _cells(row: dict[str, Any]) -> Iterator[str]:
    for head in _heads():
        if head == "IoU < 0.5":
            yield f"{row['failed']:.1%}"
        elif head == "max F":
            yield f"{row['max_f']:.3f}"
        else:
            yield format(row[COLUMNS[head]], _FORMS.get(head, ".3f"))


def _edges(edges: Sequence[EdgeColours]) -> list[str]:
    if not edges:
        return []
    naive, ours = statistics.fmean(one.naive for one in edges), statistics.fmean(one.ours for one in edges)
    row = [f"{len(edges)}", f"{naive:.2f}", f"{ours:.2f}", f"{ours / naive:.2f}"]
    return _grid(["edge colours, levels of 255", "photo's own", "estimated", "ratio"], [[f"{row[0]} photos", *row[1:]]])


def _empty(judged: Sequence[Judged]) -> list[str]:
    empty = [one for one in judged if one.is_empty]
    if not any(one.confidence is not None for one in judged):
        return []
    lines = [f"No subject was found in {len(empty)} photos."]
    for one in empty[:_MOST_EMPTY_LISTED]:
        lines.append(f"  {one.set_name} {one.stem} ({one.recipe}, confidence {one.confidence:.2f})")
    return lines


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up in a terminal too; nothing where there are no rows."""
    cells = [list(head), *map(list, rows)]
    if len(cells) == 1:
        return []
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
