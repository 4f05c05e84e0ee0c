"""The ways to cut a photo that are compared: the network's matte as everybody serves it, and our pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.background.pipeline import BackgroundPipeline, Quality, Subject
from ml.evaluation.errors import EvaluationError
from ml.models import Models
from ml.picture.types import Matte, RgbImage

PLAIN = "plain"
OURS = ("fast", "best")
NAMES = (PLAIN, *OURS)


@dataclass(frozen=True, slots=True)
class Cut:
    """
    What a recipe made of a photo.

    Attributes:
        matte: (H, W) float32, 0..1, at the photo's size.
        confidence: 0..1 as answers give it; None where the recipe has none.
        is_empty: it says that there is no subject.
    """

    matte: Matte
    confidence: float | None = None
    is_empty: bool = False


Recipe = Callable[[RgbImage, Subject], Cut]


def load(names: str, models: Models) -> dict[str, Recipe]:
    """
    Load what the recipes need.

    Args:
        names: of recipes, comma separated.
        models: where the networks come from.

    Raises:
        EvaluationError: there is no recipe of that name.
        WeightsMissingError: the networks' weights are not there.
        WeightsDamagedError: a file's SHA-256 is not the pinned one.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise EvaluationError(f"There is no recipe {', '.join(unknown)}; there are {', '.join(NAMES)}.")
    recipes: dict[str, Recipe] = {}
    for name in wanted:
        recipes[name] = (
            _plain(models) if name == PLAIN else ours(models.background(), "fast" if name == "fast" else "best")
        )
    return recipes


def ours(pipeline: BackgroundPipeline, quality: Quality) -> Recipe:
    """The whole pipeline, as the service runs it."""

    def cut(image: RgbImage, subject: Subject) -> Cut:
        result = pipeline.run(image, subject=subject, quality=quality)
        matte = result.alpha.astype(np.float32) * np.float32(1 / 255)
        return Cut(matte, result.confidence, result.is_empty)

    return cut


def _plain(models: Models) -> Recipe:
    """The network's matte at the photo's size, and nothing after it."""
    network = models.main_saliency()
    return lambda image, _: Cut(network.predict(image))
