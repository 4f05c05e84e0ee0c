"""
The one place that loads networks: those of `ml.weights.catalogue`, and those whose weights are part of this repository.

Top-level imports are light: who only wants to know of `Models` loads neither numpy nor a runtime.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ml.errors import WeightsMissingError
from ml.sessions.slots import InferenceSlots
from ml.weights import made_here
from ml.weights.catalogue import RVM, SAM, U2NETP
from ml.weights.choice import choose_background
from ml.weights.fetch import is_right
from ml.weights.specs import ModelSpec, Profile

if TYPE_CHECKING:
    from ml.background.judge_network import JudgeNetwork
    from ml.background.people_network import PeopleNetwork
    from ml.background.pipeline import BackgroundPipeline
    from ml.background.saliency_network import SaliencyNetwork
    from ml.clothing.network import ClothingNetwork
    from ml.clothing.pipeline import ClothingPipeline
    from ml.pointing.pipeline import PointingPipeline
    from ml.pointing.sam import SamNetwork
    from ml.sessions.compiling import Compiler
    from ml.sessions.precision import Wish
    from ml.sessions.session import Graph, Session
    from ml.watermark.pipeline import WatermarkPipeline

Made = TypeVar("Made")

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where torch without CUDA is (https://pytorch.org/get-started/locally/); PyPI's for Linux brings gigabytes of it."""


@dataclass(frozen=True, slots=True)
class SamChoice:
    """Which SAM follows points: the packaged one, or an official checkpoint (`model_type` None: told by its weights)."""

    checkpoint: Path | None = None
    model_type: str | None = None


class Models:
    """
    The networks of one process: made once and handed in to whatever needs one.

    Each is loaded when it is first asked for, and kept: every caller gets the same one, from many threads.

    Every method raises:
        WeightsMissingError: a file of weights is not there, or a package that reads it is not installed.
        WeightsDamagedError: a file's SHA-256 is not the pinned one.
        DeviceFullError: the GPU has no room for it.
    """

    def __init__(
        self,
        weights_dir: Path,
        *,
        profile: Profile = "best",
        slots: InferenceSlots | None = None,
        sam: SamChoice | None = None,
        made_here_dir: Path = made_here.FOLDER,
        precision: Wish = "f32",
        compiled_dir: Path | None = None,
    ) -> None:
        """
        Args:
            weights_dir: the folder that `python -m ml.weights fetch` filled.
            profile: the licence profile: `best` (IS-Net, u2net where IS-Net is missing) or `permissive` (u2net alone).
            slots: where networks run, how many at once, and with how many threads each; the machine's own by default.
            sam: which SAM follows points; the packaged one by default.
            made_here_dir: where the weights lie that were made here.
            precision: in which numbers networks run on a CPU.
            compiled_dir: where compiled networks are kept between starts; nowhere by default.
        """
        self.profile = profile
        self.slots = slots or InferenceSlots()
        self._weights_dir = weights_dir
        self._sam_choice = sam or SamChoice()
        self._made_here_dir = made_here_dir
        self._precision_wish: Wish = precision
        self._compiled_dir = compiled_dir
        self._kept: dict[str, Any] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def precision_on(self, device: str) -> str:
        """
        In which numbers networks compute: f32, bf16 or int8 on `cpu`, f16 on a GPU.

        Raises:
            PrecisionMissingError: the processor cannot do what is wished for.
        """
        return self._compiler().precision if device == "cpu" else "f16"

    def background(self) -> BackgroundPipeline:
        """What finds the subject of a photo, with all that helps it as far as its weights are there."""
        return self._once("background", self._make_background)

    def pointing(self) -> PointingPipeline:
        """What follows points and boxes."""
        return self._once("pointing", self._make_pointing)

    def clothing(self) -> ClothingPipeline:
        """What finds garments."""
        return self._once("clothing", self._make_clothing)

    def watermark(self) -> WatermarkPipeline:
        """What finds and removes watermarks."""
        return self._once("watermark", self._make_watermark)

    def saliency(self, spec: ModelSpec) -> SaliencyNetwork:
        """A network that tells a photo's subject from its background."""
        return self._once(spec.name, lambda: self._make_saliency(spec))

    def main_saliency(self) -> SaliencyNetwork:
        """The one that cuts backgrounds, and softens the edges of what is pointed at."""
        return self.saliency(choose_background(self.profile, self._weights_dir).spec)

    def clothing_network(self) -> ClothingNetwork:
        """The network alone that names garments."""
        return self._once("clothing network", self._make_clothing_network)

    def judge(self) -> JudgeNetwork:
        """What weighs two saliency maps (`ml/weights/judge.md` says how it was made)."""
        return self._once("judge", self._make_judge)

    def people(self) -> PeopleNetwork:
        """What knows people from all else; without a look at the profile's licences."""
        return self._once("people", self._make_people)

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """Two that are asked for at once are made beside each other; one that is asked for twice is made once."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._kept:
                self._kept[name] = make()
            made: Made = self._kept[name]
            return made

    def _compiler(self) -> Compiler:
        return self._once("compiler", self._make_compiler)

    def _make_compiler(self) -> Compiler:
        from ml.sessions.compiling import Compiler
        from ml.sessions.precision import choose_precision

        chosen = choose_precision(self._precision_wish, kept_in=self._compiled_dir)
        return Compiler(chosen, kept_in=self._compiled_dir)

    def _make_background(self) -> BackgroundPipeline:
        from ml.background.pipeline import BackgroundPipeline

        choice = choose_background(self.profile, self._weights_dir)
        warnings = list(choice.warnings)
        second_opinion = people = None
        if is_right(U2NETP.files[0], self._weights_dir):
            second_opinion = self.saliency(U2NETP)
        else:
            warnings.append(
                "u2netp.onnx is missing, so backgrounds are cut without a second opinion: more photos will lose their "
                "subject. Run `python -m ml.weights fetch`, then restart the worker."
            )
        if self.profile in RVM.profiles:
            if is_right(RVM.files[0], self._weights_dir):
                people = self.people()
            else:
                warnings.append(
                    f"{RVM.files[0].name} is missing, so `human` loses more distant people and keeps more of the cars beside "
                    "them. Run `python -m ml.weights fetch`, then restart the worker."
                )
        pipeline = BackgroundPipeline(
            self.saliency(choice.spec),
            second_opinion=second_opinion,
            judge=self.judge(),
            people=people,
            model_name=choice.spec.name,
            model_version=choice.spec.version,
            warnings=tuple(warnings),
        )
        if self.slots.gpu is not None:
            pipeline.warm_up()
        return pipeline

    def _make_saliency(self, spec: ModelSpec) -> SaliencyNetwork:
        from ml.background.saliency_network import SaliencyNetwork

        for file in spec.files:
            if not is_right(file, self._weights_dir):
                raise WeightsMissingError(
                    f"{file.name} is not in {self._weights_dir}. Run `python -m ml.weights fetch`."
                )
        session = self._open_saliency(spec, self._weights_dir / spec.files[0].name)
        return SaliencyNetwork(session, side_px=spec.input_side_px, mean_rgb=spec.mean_rgb, std_rgb=spec.std_rgb)

    def _open_saliency(self, spec: ModelSpec, path: Path) -> Session:
        """On the GPU where there is one and the network is built in torch, else on the CPU."""
        if self.slots.gpu is not None:
            from ml.background.saliency_torch_network import BUILDERS, build
            from ml.sessions.onnx_weights import convolutions_of
            from ml.sessions.torch import open_session

            if spec.name in BUILDERS:
                network = build(spec.name, convolutions_of(path.read_bytes()))
                return open_session(network, self.slots.gpu, image_shape=(3, spec.input_side_px, spec.input_side_px))
        return self._session(path)

    def _session(self, path: Path) -> Session:
        """One image in, one output, on the CPU."""
        from ml.sessions.openvino import OpenVinoSession

        return OpenVinoSession(path, slots=self.slots, compiler=self._compiler())

    def _graph(self, path: Path, outputs: Sequence[str], *, keeps_memory: bool = True) -> Graph:
        """Named inputs and outputs, on the CPU."""
        from ml.sessions.openvino import OpenVinoGraph

        compiler = self._compiler()
        return OpenVinoGraph(path, outputs=outputs, slots=self.slots, compiler=compiler, keeps_memory=keeps_memory)

    def _made_here(self, weights: made_here.MadeHere) -> Session:
        return self._session(weights.path_in(self._made_here_dir))

    def _make_people(self) -> PeopleNetwork:
        from ml.background.people_network import OUTPUTS, PeopleNetwork
        from ml.sessions.session import LateGraph

        # Photos come in all proportions: 300 MB would be kept for them, and .13 s of CPU is what it costs not to.
        path = self._weights_dir / RVM.files[0].name
        late = LateGraph(lambda: self._graph(path, OUTPUTS, keeps_memory=False))
        return PeopleNetwork(late, side_px=RVM.input_side_px)

    def _make_judge(self) -> JudgeNetwork:
        from ml.background.judge_network import JudgeNetwork

        return JudgeNetwork(self._made_here(made_here.JUDGE))

    def _make_pointing(self) -> PointingPipeline:
        from ml.pointing.pipeline import PointingPipeline

        network, name, version = self._make_sam()
        matte = self.main_saliency().predict_native
        pipeline = PointingPipeline(network, matte=matte, model_name=name, model_version=version)
        if self.slots.gpu is not None:
            pipeline.warm_up()
        return pipeline

    def _make_sam(self) -> tuple[SamNetwork, str, str]:
        choice, slots = self._sam_choice, self.slots
        for file in () if choice.checkpoint else SAM.files:
            if not is_right(file, self._weights_dir):
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
        encoder, decoder = (self._weights_dir / file.name for file in SAM.files)
        model = sam.onnx_sam(self._session(encoder), self._graph(decoder, sam.DECODER_OUTPUTS))
        return sam.SamNetwork(model, threads=1), SAM.name, SAM.version

    def _make_clothing(self) -> ClothingPipeline:
        from ml.clothing.pipeline import ClothingPipeline

        helps = is_right(U2NETP.files[0], self._weights_dir)
        return ClothingPipeline(
            self.clothing_network(),
            saliency=self.saliency(U2NETP).predict_native if helps else None,
            model_name="clothing",
            model_version=made_here.CLOTHING.version(self._made_here_dir),
            warnings=() if helps else ("u2netp.onnx is missing: garments are told from their background less well.",),
        )

    def _make_clothing_network(self) -> ClothingNetwork:
        from ml.clothing.network import ClothingNetwork

        return ClothingNetwork(self._made_here(made_here.CLOTHING))

    def _make_watermark(self) -> WatermarkPipeline:
        from ml.watermark.finder import WatermarkNetwork
        from ml.watermark.pipeline import WatermarkPipeline
        from ml.watermark.repair_network import RepairNetwork

        finder, repairer = made_here.WATERMARK, made_here.REPAIR
        folder = self._made_here_dir
        return WatermarkPipeline(
            WatermarkNetwork(self._made_here(finder)),
            RepairNetwork(self._made_here(repairer)),
            model_name="watermark",
            model_version=f"{finder.version(folder)}-{repairer.version(folder)}",
        )
