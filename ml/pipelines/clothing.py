"""Clothing segmentation: a photo in, one soft cut-out a garment class out."""

from __future__ import annotations

from dataclasses import dataclass

from ml.types import AlphaChannel, BoxXywh


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
    """What was found: classes that are there, in the order of `ml.garments.GARMENTS`."""

    garments: dict[str, Garment]
