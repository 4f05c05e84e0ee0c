"""From the street photos' raw labels to the classes that the network learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.clothing.garments import GARMENTS

BACKGROUND, SKIN, HAIR, LEGWEAR, ACCESSORY = range(len(GARMENTS), len(GARMENTS) + 5)
"""Not garments: learnt beside them, so that the network knows the body that wears them. Served as one, "nothing"."""

CLASSES = len(GARMENTS) + 5
IGNORED = 255

_BODY = {"skin": SKIN, "hair": HAIR, "stockings": LEGWEAR, "tights": LEGWEAR, "socks": LEGWEAR}


def table(class_map: dict[str, object], *, ignores_ambiguous: bool) -> NDArray[np.uint8]:
    """
    The class of every raw label.

    Args:
        class_map: `classmap.json` of the street photos: `raw_labels` (names), `classes` (id -> name),
            `raw_to_class` and `ambiguous_raw` (names whose class people do not agree on).
        ignores_ambiguous: give those `IGNORED`, for training.

    Returns:
        (256,) uint8: index it with a raw label map.
    """
    names: list[str] = class_map["raw_labels"]  # type: ignore[assignment]
    classes: dict[str, str] = class_map["classes"]  # type: ignore[assignment]
    to_class: list[int] = class_map["raw_to_class"]  # type: ignore[assignment]
    ambiguous: list[str] = class_map["ambiguous_raw"]  # type: ignore[assignment]
    lookup = np.full(256, BACKGROUND, np.uint8)
    for raw, name in enumerate(names):
        kind = classes[str(to_class[raw])]
        if kind in GARMENTS:
            lookup[raw] = GARMENTS.index(kind)
        elif name != "null":
            lookup[raw] = _BODY.get(name, ACCESSORY)
        if ignores_ambiguous and name in ambiguous:
            lookup[raw] = IGNORED
    return lookup
