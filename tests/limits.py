"""Limits for tests that are about something else."""

from __future__ import annotations

from apps.core.pictures.inspection import ImageFormat, ImageLimits

MB = 1024 * 1024


def roomy(*, max_bytes: int) -> ImageLimits:
    """Every format, up to 100 megapixels."""
    return ImageLimits(frozenset(ImageFormat), max_bytes, 10_000, 10_000, 100_000_000)
