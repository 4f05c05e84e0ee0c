"""The photos that the clothing network learns from and is measured on, read from the tars of their sets."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ml.clothing.garments import GARMENTS
from ml.evaluation.errors import EvaluationError
from ml.evaluation.sets import SETS, SetReader, is_held_out
from ml.picture.types import BoxXyxy, Matte, RgbImage
from ml.training.clothing.labels import BACKGROUND, IGNORED, table
from ml.training.judge.people import PEOPLE_ALONE, PEOPLE_AND_MORE

logger = logging.getLogger(__name__)

STREET, FLAT_LAYS = "clothes_ccp.tar", "garments_flatlay.tar"
SET_ASIDE = 100
"""Street photos, and `SET_ASIDE_FLAT_LAYS` garments, on which nothing is trained or chosen."""
SET_ASIDE_FLAT_LAYS = 200
BIG_SENDER = 60
"""Who sent more garments than this is trained on: set aside, one room would be half of the figure."""

UNLABELLED = frozenset({"0536"})
SURE, UNSURE = 0.7, 0.3
"""A flat-lay's mask is a saliency network's: the garment above, the floor below, nothing is learnt between."""


@dataclass(frozen=True)
class LabelledPhoto:
    """
    One photo and what is in it.

    Attributes:
        image: (H, W, 3) uint8, sRGB.
        labels: (H, W) uint8: `ml.training.clothing.labels` classes, 255 where nothing is learnt.
        box_xyxy: around what is worn or shown.
        garment: of a flat-lay, its only class.
    """

    stem: str
    image: RgbImage
    labels: NDArray[np.uint8]
    box_xyxy: BoxXyxy
    garment: str | None = None

    @cached_property
    def kinds(self) -> frozenset[int]:
        """Which classes are in it."""
        return frozenset(np.unique(self.labels).tolist())


def read_street(
    folder: Path, wanted: Iterable[str] = ("train", "val", "aside"), *, learns_ambiguous: bool = False
) -> dict[str, list[LabelledPhoto]]:
    """
    Read the street photos of some parts.

    Args:
        learns_ambiguous: in training too, labels that people do not agree on have the class that measuring gives them.

    Raises:
        EvaluationError: the tar is missing or damaged.
    """
    with _members(folder / STREET) as read:
        class_map, split = (json.loads(read(name)) for name in ("classmap.json", "split.json"))
        parts = _parts(split)
        return {
            part: [
                _street_photo(stem, read, table(class_map, ignores_ambiguous=part == "train" and not learns_ambiguous))
                for stem in parts[part]
            ]
            for part in wanted
        }


def read_flat_lays(
    folder: Path, masks: Path, saliency: Callable[[RgbImage], Matte], wanted: Iterable[str] = ("train", "aside")
) -> dict[str, list[LabelledPhoto]]:
    """
    Read the flat-lays of some parts; the saliency network is asked once for each, and its mask kept in `masks`.

    Raises:
        EvaluationError: the tar is missing or damaged.
    """
    masks.mkdir(parents=True, exist_ok=True)
    with _members(folder / FLAT_LAYS) as read:
        about = json.loads(read("labels.json"))
        parts = _flat_parts({stem: facts["sender"] for stem, facts in about.items()})
        found = {}
        for part in wanted:
            photos = (_flat_lay(stem, about[stem]["class"], read, masks, saliency) for stem in parts[part])
            found[part] = [photo for photo in photos if photo is not None]
        return found


def _parts(split: dict[str, list[str]]) -> dict[str, list[str]]:
    train = [stem for stem in split["train"] if stem not in UNLABELLED]
    aside = set(sorted(train, key=_by_chance)[:SET_ASIDE])
    return {
        "train": [stem for stem in train if stem not in aside],
        "val": list(split["val"]),
        "aside": sorted(aside),
    }


def _flat_parts(senders: dict[str, str]) -> dict[str, list[str]]:
    counts = Counter(senders.values())
    aside: set[str] = set()
    for sender in sorted(counts, key=_by_chance):
        if counts[sender] <= BIG_SENDER and len(aside) < SET_ASIDE_FLAT_LAYS:
            aside |= {stem for stem, whose in senders.items() if whose == sender}
    return {"train": sorted(senders.keys() - aside), "aside": sorted(aside)}


def _by_chance(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _street_photo(stem: str, read: Callable[[str], bytes], lookup: NDArray[np.uint8]) -> LabelledPhoto:
    image = _rgb(read(f"images/{stem}"))
    raw = np.asarray(Image.open(io.BytesIO(read(f"labels/{stem}"))))
    return LabelledPhoto(stem, image, lookup[raw], _box(raw != 0))


def _flat_lay(
    stem: str, garment: str, read: Callable[[str], bytes], masks: Path, saliency: Callable[[RgbImage], Matte]
) -> LabelledPhoto | None:
    image = _rgb(read(f"images/{stem}"))
    file = masks / f"{stem}.png"
    if not file.exists():
        Image.fromarray(np.rint(saliency(image) * 255).astype(np.uint8)).save(file)
        done = sum(1 for _ in masks.iterdir())
        if done % 50 == 0:
            logger.info("%d flat-lays have a mask", done)
    matte = np.asarray(Image.open(file), np.float32) / 255
    if not (matte > SURE).any():
        return None
    labels = np.full(matte.shape, BACKGROUND, np.uint8)
    labels[matte > UNSURE] = IGNORED
    labels[matte > SURE] = GARMENTS.index(garment)
    return LabelledPhoto(stem, image, labels, _box(matte > SURE), garment)


def _rgb(data: bytes) -> RgbImage:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"), np.uint8)


def _box(mask: NDArray[np.bool_]) -> BoxXyxy:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def read_without_clothes(folder: Path, *, held_out: bool = False) -> list[RgbImage]:
    """
    Photos in which nobody wears anything: ECSSD's without people, either those to train on or the held-out third.

    Raises:
        EvaluationError: the tar is missing or damaged.
    """
    with SetReader(SETS["saliency_ecssd"], folder) as reader:
        return [
            reader.read(stem).image
            for stem in reader.stems
            if is_held_out(stem) == held_out and stem not in PEOPLE_ALONE | PEOPLE_AND_MORE
        ]


class _members:  # noqa: N801  used as a function
    """Open a tar; gives a reader of `folder/stem`, whatever the ending and the folders above."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Callable[[str], bytes]:
        try:
            self._tar = tarfile.open(self._path)
        except (OSError, tarfile.TarError) as error:
            raise EvaluationError(f"{self._path} can't be read: {error}.") from error
        self._by_name = dict(self._named())
        return self._read

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def _named(self) -> Iterator[tuple[str, tarfile.TarInfo]]:
        for member in self._tar.getmembers():
            path = PurePosixPath(member.name)
            if member.isfile():
                yield path.name if path.suffix == ".json" else f"{path.parent.name}/{path.stem}", member

    def _read(self, name: str) -> bytes:
        file = self._tar.extractfile(self._by_name[name]) if name in self._by_name else None
        if file is None:
            raise EvaluationError(f"{self._path} has no {name}.")
        return file.read()
