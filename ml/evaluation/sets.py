"""
Labelled photos, read straight from the tar files in which their authors' sets are kept. Nothing is unpacked.

A set's tar holds `images/STEM.*` and beside it, in the folder that `SETS` names, `STEM.png` with the truth, below any
folders; where it is cut into splits, `split.json` lists the stems of each.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.background.pipeline import Subject
from ml.evaluation.errors import EvaluationError
from ml.picture.types import Matte, RgbImage

Truth = Literal["mask", "labels", "alpha"]
"""What the second file holds: black and white, class ids of which 0 is the background, or a true grey alpha."""

SAMPLE_SEED = 20_261_121


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """
    One set, and how to read it.

    Attributes:
        name: also the tar's, without its ending.
        subject: what its photos are asked for.
        truth: what its second files hold.
        folder: theirs in the tar.
        split: the one of `split.json` to use, or all photos.
    """

    name: str
    subject: Subject
    truth: Truth
    folder: str
    split: str | None = None


SETS = {
    labelled.name: labelled
    for labelled in (
        LabelledSet("saliency_ecssd", "universal", "mask", "masks"),
        LabelledSet("human_pennfudan", "human", "mask", "masks"),
        LabelledSet("clothes_ccp", "human", "labels", "labels", split="val"),
        LabelledSet("product_flatlay", "product", "mask", "masks"),
        LabelledSet("matting_alpha", "universal", "alpha", "alpha"),
    )
}


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo (H, W, 3) uint8 sRGB, upright, and its truth (H, W) float32, 0..1."""

    stem: str
    image: RgbImage
    truth: Matte


def is_held_out(stem: str) -> bool:
    """Whether a photo belongs to the third that nothing may be tuned on: SHA-256 of its stem, modulo 3, is 0."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()) % 3 == 0


class SetReader:
    """An open set. Close it, or use it in a `with`."""

    def __init__(self, labelled: LabelledSet, folder: Path) -> None:
        """
        Args:
            folder: where the tars lie.

        Raises:
            EvaluationError: there is no such tar, it is none, or it holds no pair of a photo and its truth.
        """
        self.labelled = labelled
        path = folder / f"{labelled.name}.tar"
        try:
            self._tar = tarfile.open(path)  # noqa: SIM115  closed by close()
        except (OSError, tarfile.TarError) as error:
            raise EvaluationError(f"{path} can't be read: {error}.") from error
        try:
            self._pairs = self._find_pairs()
        except EvaluationError:
            self._tar.close()
            raise

    def __enter__(self) -> SetReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._tar.close()

    @property
    def stems(self) -> list[str]:
        """Every photo that has a truth and is in the split, in order."""
        return sorted(self._pairs)

    def read(self, stem: str) -> Photo:
        """
        Decode one photo and its truth.

        Raises:
            EvaluationError: one of them can't be decoded, or their sizes differ.
        """
        photo, truth = (self._open(member) for member in self._pairs[stem])
        image = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"), np.uint8)
        matte = _matte(truth, self.labelled.truth)
        if matte.shape != image.shape[:2]:
            raise EvaluationError(
                f"{stem} of {self.labelled.name}: the photo is {image.shape[1]} x {image.shape[0]} px, "
                f"its truth {matte.shape[1]} x {matte.shape[0]}."
            )
        return Photo(stem, image, matte)

    def _find_pairs(self) -> dict[str, tuple[tarfile.TarInfo, tarfile.TarInfo]]:
        found: dict[str, dict[str, tarfile.TarInfo]] = {"images": {}, self.labelled.folder: {}}
        split: set[str] | None = None
        for member in self._members():
            path = PurePosixPath(member.name)
            if path.parent.name in found:
                found[path.parent.name][path.stem] = member
            elif path.name == "split.json" and self.labelled.split:
                split = set(json.loads(self._bytes(member))[self.labelled.split])
        photos, truths = found["images"], found[self.labelled.folder]
        pairs = {
            stem: (photos[stem], truths[stem])
            for stem in photos.keys() & truths.keys()
            if not self.labelled.split or stem in (split or ())
        }
        if not pairs:
            what = f"images/ and {self.labelled.folder}/" + (", and a split.json" if self.labelled.split else "")
            raise EvaluationError(f"{self.labelled.name}.tar holds no labelled photos: it should have {what}.")
        return pairs

    def _members(self) -> Iterator[tarfile.TarInfo]:
        return (member for member in self._tar.getmembers() if member.isfile())

    def _bytes(self, member: tarfile.TarInfo) -> bytes:
        file = self._tar.extractfile(member)
        if file is None:
            raise EvaluationError(f"{member.name} in {self.labelled.name}.tar is no file.")
        return file.read()

    def _open(self, member: tarfile.TarInfo) -> Image.Image:
        try:
            picture = Image.open(io.BytesIO(self._bytes(member)))
            picture.load()
        except (OSError, UnidentifiedImageError) as error:
            raise EvaluationError(f"{member.name} in {self.labelled.name}.tar can't be decoded: {error}.") from error
        return picture


def _matte(picture: Image.Image, truth: Truth) -> Matte:
    """Read a truth. Labels keep their ids: a palette's colours are never looked at."""
    if truth == "labels":
        ids = np.asarray(picture)
        return (ids if ids.ndim == 2 else ids.any(axis=2)).astype(bool).astype(np.float32)
    levels = np.asarray(picture.convert("L"), np.float32) * np.float32(1 / 255)
    if truth == "mask":
        return (levels > 0.5).astype(np.float32)
    return levels


def sample(stems: Sequence[str], limit: int | None) -> list[str]:
    """
    Take `limit` stems spread evenly over all of them, always the same ones.

    Args:
        limit: at least 1; None for all.
    """
    if limit is None or limit >= len(stems):
        return list(stems)
    start = random.Random(SAMPLE_SEED).random()  # noqa: S311  a choice of photos, no secret
    return [stems[int((number + start) * len(stems) / limit)] for number in range(limit)]


def choose(names: str | None) -> list[LabelledSet]:
    """
    Find sets by their names, comma separated; all of them where there are none.

    Raises:
        EvaluationError: there is no set of that name.
    """
    wanted = [name.strip() for name in names.split(",")] if names else list(SETS)
    unknown = [name for name in wanted if name not in SETS]
    if unknown:
        raise EvaluationError(f"There is no set {', '.join(unknown)}; there are {', '.join(SETS)}.")
    return [SETS[name] for name in wanted]
