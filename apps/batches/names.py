"""Names of images: safe as paths of a ZIP on every system, and each only once in its batch."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable

LONGEST = 180
_UNSAFE = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)


def safe(name: str, *, otherwise: str) -> str:
    """
    A name that unpacks to the same file everywhere.

    Args:
        name: a file's name or an archive's path; folders stay, steps up and drives do not.
        otherwise: the name of what has none.
    """
    text = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode().replace("\\", "/")
    parts = [_safe_part(part) for part in text.split("/")]
    stem, extension = posixpath.splitext("/".join(part for part in parts if part))
    extension = extension[:10]
    return (stem[: LONGEST - len(extension)].rstrip(" ./") + extension) if stem else otherwise


def unique(names: Iterable[str]) -> list[str]:
    """The same names, the second of one with `-2` before its extension; capitals make no difference, as on many disks."""
    taken: set[str] = set()
    return [take(name, taken) for name in names]


def take(name: str, taken: set[str]) -> str:
    """The name, or the next one like it that is not in `taken`, which grows by it."""
    stem, extension = posixpath.splitext(name)
    chosen, number = name, 1
    while chosen.lower() in taken:
        number += 1
        chosen = f"{stem}-{number}{extension}"
    taken.add(chosen.lower())
    return chosen


def _safe_part(part: str) -> str:
    plain = _UNSAFE.sub("_", part).strip(" .") if part.strip(" .") else ""
    return f"_{plain}" if _RESERVED.match(plain) else plain
