"""What an operation ends as: artifacts in the store, facts for the answer, warnings. Frozen, JSON-able, free of HTTP."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class WarningCode(StrEnum):
    """Things worth telling that are no errors."""

    FIRST_FRAME_ONLY = "FIRST_FRAME_ONLY"
    NO_FOREGROUND = "NO_FOREGROUND"
    NO_GARMENT = "NO_GARMENT"
    NO_WATERMARK = "NO_WATERMARK"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    TOUCHES_BORDER = "TOUCHES_BORDER"
    MULTIPLE_SUBJECTS = "MULTIPLE_SUBJECTS"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    PARAMETER_IGNORED = "PARAMETER_IGNORED"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    WarningCode.FIRST_FRAME_ONLY: "The image is animated; only its first frame was used.",
    WarningCode.NO_FOREGROUND: "No foreground was found; nothing was charged.",
    WarningCode.NO_GARMENT: "No garment of the requested classes was found; nothing was charged.",
    WarningCode.NO_WATERMARK: "No watermark was found: the image is unchanged, and nothing was charged.",
    WarningCode.LOW_CONFIDENCE: "It is not clear what the subject is: look at the result, or point at it with points or box.",
    WarningCode.TOUCHES_BORDER: "The subject goes on beyond the picture's border, so its cut-out ends there in a straight line.",
    WarningCode.MULTIPLE_SUBJECTS: "There are several separate subjects; all of them were kept.",
    WarningCode.UNKNOWN_FIELD: "A field that this address does not know was ignored.",
    WarningCode.PARAMETER_IGNORED: "A parameter has no effect beside the others.",
}


Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""


@dataclass(frozen=True)
class Artifact:
    """One object in the result store."""

    key: str
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """
    A success.

    Args:
        artifacts: by name; the operation says which one is the binary answer.
        facts: what the operation's `data` holds besides images (JSON values only).
        box_xywh: where in the picture that is which was asked for; None for nowhere, or where there is no such thing.
        warnings: codes, in the order in which they arose.
        model: name and version of the network, `name@version`.
        device: `cpu` or the GPU's name.
        precision: f32, bf16, int8 or f16.
        timings_ms: milliseconds by stage, in order.
        chargeable: false for an empty result.
    """

    artifacts: dict[str, Artifact]
    facts: dict[str, Any] = field(default_factory=dict)
    box_xywh: Box | None = None
    warnings: tuple[WarningCode, ...] = ()
    model: str = ""
    device: str = "cpu"
    precision: str = ""
    timings_ms: dict[str, int] = field(default_factory=dict)
    chargeable: bool = True

    def to_json(self) -> dict[str, Any]:
        """JSON values; the timings as pairs, because a JSONB object does not keep its members' order."""
        return {**asdict(self), "timings_ms": list(self.timings_ms.items())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        artifacts = {name: Artifact(**fields) for name, fields in data["artifacts"].items()}
        warnings = tuple(WarningCode(code) for code in data["warnings"])
        timings_ms = dict(data["timings_ms"])
        box = data.get("box_xywh")
        box_xywh = None if box is None else tuple(box)
        made = {"artifacts": artifacts, "box_xywh": box_xywh, "warnings": warnings, "timings_ms": timings_ms}
        return cls(**{**data, **made})
