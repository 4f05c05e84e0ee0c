"""From labelled photos to the judge's samples: scenes are made, both networks asked, all of it squeezed to squares."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ml.evaluation.sets import SETS, LabelledSet, Photo, SetReader, is_held_out
from ml.models import Models
from ml.picture.transforms import shrink_or_grow
from ml.picture.types import RgbImage
from ml.training.judge import scenes
from ml.training.judge.people import PEOPLE_ALONE, PEOPLE_AND_MORE
from ml.training.judge.samples import SIDE_PX, Bytes, Floats, Samples
from ml.weights import catalogue

logger = logging.getLogger(__name__)

SEED = 7
STREET_PHOTOS = 90
STUDIO_SCENES, CROWD_SCENES, TEXTURES = 130, 150, 40
STREET = replace(SETS["clothes_ccp"], split="train")
UNLABELLED = frozenset({"0536"})
"""Of the street photos: its label is empty."""

ALL, NOT_PEOPLE, NOTHING = (1, 1, 1), (1, 0, 1), (0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Example:
    """A photo, its truth (uint8), what each head learns from it and how often it is seen."""

    image: RgbImage
    truth: Bytes
    weight: tuple[float, float, float]
    keeps: tuple[int, int, int]
    times: int = 1


def prepare(data: Path, weights_dir: Path) -> Samples:
    """
    Make the samples; the two networks take five seconds of CPU for each of about a thousand photos.

    Args:
        data: the folder with the labelled sets' tars (`ml.evaluation.sets`). Their held-out thirds are left alone.
        weights_dir: of the saliency networks.

    Raises:
        EvaluationError: a tar is missing or damaged.
        WeightsMissingError: a network is missing.
    """
    models = Models(weights_dir)
    main, second = models.saliency(catalogue.ISNET), models.saliency(catalogue.U2NETP)
    rows: list[tuple[Bytes, Bytes, Bytes, Floats, Floats]] = []
    for count, example in enumerate(_examples(data), start=1):
        square = shrink_or_grow(example.image, (catalogue.ISNET.input_side_px,) * 2)
        maps = np.stack([_small(np.rint(255 * net.predict_native(square)).astype(np.uint8)) for net in (main, second)])
        row = (
            _small(example.image),
            maps,
            _small(example.truth),
            np.asarray(example.weight, np.float32),
            np.asarray(example.keeps, np.float32),
        )
        rows += [row] * example.times
        if count % 20 == 0:
            logger.info("%d photos are prepared", count)
    return Samples(*(np.stack(column) for column in zip(*rows, strict=True)))


def _small(pixels: Bytes) -> Bytes:
    return shrink_or_grow(pixels, (SIDE_PX, SIDE_PX))


def _examples(data: Path) -> Iterator[_Example]:
    rng = np.random.default_rng(SEED)
    photos = list(_photos(SETS["saliency_ecssd"], data))
    flats = list(_photos(SETS["product_flatlay"], data))
    street = [photo for photo in _photos(STREET, data, with_held_out=True) if photo.stem not in UNLABELLED]
    random.Random(SEED).shuffle(street)  # noqa: S311  a sample, no secret
    yield from (_salient(photo) for photo in photos)
    for photo in _photos(SETS["human_pennfudan"], data):
        yield _Example(photo.image, _bytes(photo), (0.3, 2.5, 0), ALL, times=2)
    for photo in flats:
        yield _Example(photo.image, _bytes(photo), (1, 0.5, 3), NOT_PEOPLE, times=2)
    for photo in _photos(SETS["matting_alpha"], data):
        yield _Example(photo.image, _bytes(photo), (2, 0, 1), ALL, times=3)
    for photo in street[:STREET_PHOTOS]:
        yield _Example(photo.image, _bytes(photo), (0.6, 1.5, 0), ALL)
    yield from _scenes(photos, flats, street[STREET_PHOTOS:], rng)


def _scenes(
    photos: list[Photo], flats: list[Photo], street: list[Photo], rng: np.random.Generator
) -> Iterator[_Example]:
    free = [photo for photo in photos if scenes.stands_free(photo.truth)]
    lonely = [photo for photo in photos if photo.stem not in PEOPLE_ALONE | PEOPLE_AND_MORE]
    for each in range(STUDIO_SCENES):
        shown = flats[each % len(flats)] if each % 3 == 0 else free[each % len(free)]
        image, truth = scenes.studio(scenes.cut(shown.image, shown.truth), rng)
        yield _Example(image, truth, (0.6, 0.3, 1.5), NOT_PEOPLE)
    cuttings = (scenes.cut(photo.image, photo.truth, feather_px=0.7) for photo in street)
    for each in range(CROWD_SCENES):
        people = [next(cuttings) for _ in range(int(rng.choice([1, 1, 2, 2, 3, 4])))]
        image, truth = scenes.crowd(people, lonely[each % len(lonely)].image, rng)
        yield _Example(image, truth, (0, 2, 0), ALL)
    plain = (scenes.texture(photo.image, photo.truth) for photo in lonely)
    for _, image in zip(range(TEXTURES), (quarter for quarter in plain if quarter is not None), strict=False):
        yield _Example(image, np.zeros(image.shape[:2], np.uint8), (0.5, 0.5, 0.5), NOTHING)


def _salient(photo: Photo) -> _Example:
    if photo.stem in PEOPLE_AND_MORE:
        return _Example(photo.image, _bytes(photo), (1, 0, 0.5), ALL)
    if photo.stem in PEOPLE_ALONE:
        return _Example(photo.image, _bytes(photo), (1, 1, 0.3), ALL)
    return _Example(photo.image, _bytes(photo), (1, 0.6, 0.6), NOT_PEOPLE)


def _photos(labelled: LabelledSet, data: Path, *, with_held_out: bool = False) -> Iterator[Photo]:
    with SetReader(labelled, data) as reader:
        for stem in reader.stems:
            if with_held_out or not is_held_out(stem):
                yield reader.read(stem)


def _bytes(photo: Photo) -> Bytes:
    return np.rint(photo.truth * 255).astype(np.uint8)
