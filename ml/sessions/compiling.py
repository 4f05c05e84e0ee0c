"""ONNX files compiled for this processor by OpenVINO, in one precision."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import openvino

from ml.sessions.compiled import CompiledNetworks
from ml.sessions.precision import Precision, hint, processor
from ml.sessions.ranges import Ranges

log = logging.getLogger(__name__)

RANGES = Path(__file__).parents[1] / "weights" / "int8"
"""What calibration found, a file for each network, named as its weights."""

OPTIONS = {
    "ENABLE_CPU_PINNING": False,  # other processes have work on these cores too
    # Of networks of any size, what was prepared for so many layers at their sizes is kept: all would be 3 MB a size.
    "CPU_RUNTIME_CACHE_CAPACITY": 100,
}


class Compiler:
    """Compiles networks. Safe to use from many threads."""

    def __init__(self, precision: Precision = "f32", *, kept_in: Path | None = None, ranges: Path = RANGES) -> None:
        """
        Args:
            precision: in which networks compute. With int8, a network without ranges stays in f32.
            kept_in: where compiled networks are kept between starts.
            ranges: where what calibration found lies.
        """
        self.precision = precision
        self._kept = CompiledNetworks(kept_in)
        self._ranges = ranges

    @property
    def options(self) -> dict[str, object]:
        """For whoever runs what was compiled."""
        return {**OPTIONS, "INFERENCE_PRECISION_HINT": hint(self.precision)}

    def compile(self, path: Path, *, outputs: Sequence[str] = ()) -> memoryview:
        """
        Compile a network, or take what an earlier start has compiled.

        Args:
            path: an ONNX file; what of its input's shape is not fixed stays open.
            outputs: the values to give, by name; the first output by default. Networks trained with side outputs
                compute them all otherwise.

        Returns:
            What `openvino.Core.import_model` takes, in a mapping of a file. A network that is compiled from ONNX keeps
            its weights twice, as they were and packed; of one that is imported from a mapping the former's pages can be
            dropped (0.18 GB for IS-Net in f32, in each of its two shapes).
        """
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        ranges = self._ranges_of(path, sha256) if self.precision == "int8" else None
        facts = [sha256, self.precision, ranges[1] if ranges else "", *outputs, processor()]

        def make() -> memoryview:
            network = read_network(content, path.stem, outputs)
            if ranges:
                ranges[0].lay_into(network)
            compiled = openvino.Core().compile_model(network, "CPU", self.options)
            return memoryview(compiled.export_model().getbuffer())

        return self._kept.open("\n".join(facts), make)

    def _ranges_of(self, path: Path, sha256: str) -> tuple[Ranges, str] | None:
        """What calibration found of it, and that file's digest."""
        file = self._ranges / f"{path.stem}.json"
        if not file.is_file():  # it would lose too much, or is too small to matter
            return None
        ranges = Ranges.read(file)
        if ranges.weights_sha256 != sha256:
            log.warning("%s runs in f32: it is not the file that was calibrated (`make calibrate`)", path.name)
            return None
        return ranges, hashlib.sha256(file.read_bytes()).hexdigest()


def read_network(content: bytes, name: str, outputs: Sequence[str]) -> openvino.Model:
    """A network as it stands in an ONNX file, for the outputs that are asked for."""
    network = openvino.Core().read_model(content)
    wanted = [_value(network, output) for output in outputs] or [network.get_results()[0]]
    return openvino.Model(wanted, network.get_parameters(), name)


def _value(network: openvino.Model, name: str) -> openvino.Output:
    """A value inside the network, by its name in the ONNX file."""
    for node in network.get_ops():
        for output in node.outputs():
            if name in output.get_names():
                return output
    raise ValueError(f"the network has no value {name}")
