"""The photo that every request carries: a real one where there is one, at one megapixel, JPEG quality 90."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from apps.stack.paths import ROOT
from tests.drawing import soft_photo

PIXELS = 1_000_000
_QUALITY = 90


def one_megapixel(path: Path | None) -> tuple[bytes, str]:
    """
    Make the JPEG.

    Args:
        path: take this photo; by default the bundled one, else one of the golden tests', else a drawing.

    Returns:
        The file, and a sentence about it.
    """
    source = path or next(_candidates(), None)
    image = _drawing() if source is None else Image.open(source).convert("RGB")
    scale = math.sqrt(PIXELS / (image.width * image.height))
    if abs(scale - 1) > 0.01:
        size_wh = round(image.width * scale), round(image.height * scale)
        image = image.resize(size_wh, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    name = "a drawing" if source is None else source.name
    return out.getvalue(), f"{name}, {image.width}x{image.height}, {len(out.getvalue()) // 1000} kB"


def _candidates() -> Iterator[Path]:
    demo = ROOT / "docs" / "demo.jpg"
    if demo.is_file():
        yield demo
    golden = ROOT / "tests" / "golden" / "photos"
    yield from sorted(golden.glob("*.jpg"))


def _drawing() -> Image.Image:
    """Grainy shades with something round and dark in front."""
    width, height = 1155, 866
    picture = Image.fromarray(soft_photo(width, height))
    subject = (
        Image.radial_gradient("L").resize((width // 2, height // 2)).point(lambda level: 255 if level < 190 else 0)
    )
    picture.paste((70, 25, 30), (width // 4, height // 4), subject)
    return picture
