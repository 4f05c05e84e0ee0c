"""What is known of a network before it is loaded: its files, their content and origin, and how it sees a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Profile = Literal["best", "permissive"]


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file inside a wheel on PyPI."""

    package: str
    version: str
    member: str
    download_bytes: int


@dataclass(frozen=True, slots=True)
class NpmChunks:
    """A file that an npm package ships in pieces, listed in a JSON index as `index[key]["chunks"][i]["hash"]`."""

    package: str
    version: str
    index_member: str
    index_key: str
    download_bytes: int


@dataclass(frozen=True, slots=True)
class NpmMember:
    """One file inside an npm package."""

    package: str
    version: str
    member: str
    download_bytes: int


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights, its pinned content and the package that ships it."""

    name: str
    sha256: str
    size_bytes: int
    origin: WheelMember | NpmChunks | NpmMember


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """
    One network.

    Attributes:
        name: the name in answers and settings.
        files: its weights; the first is the graph.
        input_side_px: side of the square input.
        mean_rgb, std_rgb: the network sees (pixel - mean) / std, pixels in 0..255.
        licence: of the weights, with the package's where it differs.
        profiles: the licence profiles that may use it.
    """

    name: str
    files: tuple[WeightsFile, ...]
    input_side_px: int
    mean_rgb: tuple[float, float, float]
    std_rgb: tuple[float, float, float]
    licence: str
    profiles: frozenset[Profile]

    @property
    def version(self) -> str:
        """The package's version and the first eight digits of the graph's SHA-256."""
        return f"{self.files[0].origin.version}-{self.files[0].sha256[:8]}"
