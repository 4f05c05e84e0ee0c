"""Training samples of the judge: prepared once as arrays, varied anew each time they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 320
"""Side of the judge's square input: U²-Net's own, so that one squeezed photo serves both."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Samples:
    """
    N prepared samples.

    Attributes:
        photo: (N, S, S, 3) uint8, sRGB, squeezed to the square.
        maps: (N, 2, S, S) uint8: what the main network and the second opinion say.
        truth: (N, S, S) uint8: the true matte.
        weight: (N, 3) float32: how much each head learns from the sample; 0 where its answer is not known.
        keeps: (N, 3) float32: 1 where the head's answer is the truth, 0 where it is "nothing".
    """

    photo: Bytes
    maps: Bytes
    truth: Bytes
    weight: Floats
    keeps: Floats

    def __len__(self) -> int:
        return len(self.photo)

    @staticmethod
    def load(file: Path) -> Samples:
        """Read what `prepare` wrote."""
        with np.load(file) as arrays:
            return Samples(**{name: arrays[name] for name in Samples.__slots__})

    def save(self, file: Path) -> None:
        """Write one .npz file."""
        np.savez(file, **{name: getattr(self, name) for name in Samples.__slots__})


def draw(
    samples: Samples, indices: NDArray[np.int64], rng: np.random.Generator, side_px: int = SIDE_PX
) -> dict[str, Floats]:
    """
    A batch, each sample cropped, flipped and re-lit by chance, and now and then with a spoilt map.

    Returns:
        `photo` (N, 3, S, S) as the encoder sees it, `maps` (N, 2, S, S) and `truth` (N, 3, S, S), 0..1.
    """
    batch: dict[str, Any] = {"photo": [], "maps": [], "truth": []}
    for i in indices:
        planes = np.dstack([samples.photo[i], samples.maps[i][0], samples.maps[i][1], samples.truth[i]])
        planes = _crop(planes, rng, side_px)
        if rng.random() < 0.5:
            planes = planes[:, ::-1]
        photo = _relight(planes[..., :3].astype(np.float32), rng)
        maps = _spoil(planes[..., 3:5].astype(np.float32) / np.float32(255), rng)
        batch["photo"].append(((photo - 127) / 128).transpose(2, 0, 1))
        batch["maps"].append(maps.transpose(2, 0, 1))
        batch["truth"].append(planes[..., 5].astype(np.float32)[None] / 255 * samples.keeps[i][:, None, None])
    return {name: np.ascontiguousarray(np.stack(arrays), np.float32) for name, arrays in batch.items()}


def _crop(planes: Bytes, rng: np.random.Generator, side_px: int) -> Bytes:
    """Look closer (down to 65 % of a side) or from further away (up to 115 %, mirrored at the border)."""
    scale_x, scale_y = 1.0, 1.0
    if rng.random() > 0.35:
        scale_x, scale_y = (rng.uniform(0.65, 1.15) * np.exp(rng.uniform(-0.08, 0.08, 2))).tolist()
    shift_x, shift_y = (rng.uniform(min(0, 1 - s), max(0, 1 - s)) * SIDE_PX for s in (scale_x, scale_y))
    zoom = SIDE_PX / side_px
    matrix = np.array([[scale_x * zoom, 0, shift_x], [0, scale_y * zoom, shift_y]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    parts = [
        cv2.warpAffine(part, matrix, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REFLECT)
        for part in (np.ascontiguousarray(planes[..., :3]), np.ascontiguousarray(planes[..., 3:]))
    ]
    return np.asarray(np.dstack(parts), np.uint8)


def _relight(photo: Floats, rng: np.random.Generator) -> Floats:
    grey = photo.mean(axis=2, keepdims=True)
    photo = grey + (photo - grey) * np.float32(rng.uniform(0.5, 1.4) if rng.random() < 0.9 else 0.0)
    photo = (photo - 127) * np.float32(rng.uniform(0.75, 1.25)) + 127 + np.float32(rng.uniform(-25, 25))
    photo = photo + rng.uniform(-8, 8, 3).astype(np.float32)
    return np.clip(photo, 0, 255)


def _spoil(maps: Floats, rng: np.random.Generator) -> Floats:
    """Networks fail in ways of their own; the judge must not lean on either. One may be the other's, faded or soft."""
    chance = rng.random()
    if chance < 0.10:
        maps[..., 0] = maps[..., 1]
    elif chance < 0.15:
        maps[..., 1] = maps[..., 0]
    elif chance < 0.25:
        maps[..., int(rng.random() < 0.4)] *= np.float32(rng.uniform(0.0, 0.9))
    elif chance < 0.30:
        maps[..., 0] = cv2.GaussianBlur(np.ascontiguousarray(maps[..., 0]), (0, 0), rng.uniform(1, 5))
    return maps
