"""The fonts that marks are written in: those of the Debian packages in `fonts.txt`, a third of the packages for tests."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import ImageFont

from ml.evaluation.sets import is_held_out

Part = Literal["train", "test"]

PACKAGES = Path(__file__).with_name("fonts.txt")
INSTALLED = Path("/var/lib/dpkg/info")
ENDINGS = (".ttf", ".otf", ".ttc")
CHINESE = "fonts-wqy-zenhei"
NOT_LETTERS = ("Math", "Tamil", "DingbatS", "D050000L", "StandardSymbols", "LinLibertine_I.", "Biolinum_K", "Kristi")
"""Parts of the names of files that hold symbols, or that are unreadable at the sizes of marks."""


def find_fonts(part: Part) -> tuple[Path, ...]:
    """
    The font files of one part's packages; no package is in both parts.

    Raises:
        SystemExit: a package is missing; the message names the command that installs them.
    """
    packages = [package for package in PACKAGES.read_text().split() if package != CHINESE]
    return tuple(file for p in packages if is_held_out(p) == (part == "test") for file in _files(p))


def chinese_font() -> Path:
    """The font of Chinese words, which are not the same in the two parts. Raises: as `find_fonts`."""
    return _files(CHINESE)[0]


@lru_cache(maxsize=512)
def font_of(file: Path, size_px: int) -> ImageFont.FreeTypeFont:
    """One font at one size, kept for the next mark."""
    return ImageFont.truetype(str(file), size_px)


def _files(package: str) -> list[Path]:
    listing = INSTALLED / f"{package}.list"
    if not listing.exists():
        raise SystemExit(
            f"{package} is not installed: apt-get install --no-install-recommends $(cat {PACKAGES}) gives every font."
        )
    files = (Path(line) for line in listing.read_text().splitlines() if line.endswith(ENDINGS))
    return sorted(file for file in files if file.exists() and not any(name in file.name for name in NOT_LETTERS))
