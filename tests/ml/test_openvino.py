"""The OpenVINO session on a tiny network of two outputs: no weights needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from apps.stack.paths import ROOT
from ml.sessions.openvino import OpenVinoGraph, OpenVinoSession
from ml.sessions.slots import InferenceSlots
from ml.weights import made_here
from tests.ml.tiny_onnx import mixed_up, tiny_model


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenVinoSession:
    """On the one slot of a machine of two cores."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    return OpenVinoSession(path, slots=InferenceSlots())


def test_session_gives_the_first_output(session: OpenVinoSession) -> None:
    tensor = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)

    output = session.run(tensor)

    assert np.array_equal(output, np.maximum(tensor, 0))


@pytest.mark.parametrize("name", ["first", "second"])
def test_graph_gives_the_outputs_that_are_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    graph = OpenVinoGraph(path, outputs=(name,), slots=InferenceSlots(1), keeps_memory=False)
    tensor = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)

    (output,) = graph.run({"x": tensor})

    assert np.allclose(output, np.maximum(tensor, 0) if name == "first" else 1 / (1 + np.exp(-tensor)), atol=1e-6)


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())

    with pytest.raises(ValueError, match="third"):
        OpenVinoGraph(path, outputs=("third",), slots=InferenceSlots(1))


def test_an_output_stays_what_it_was_when_the_next_run_comes(session: OpenVinoSession) -> None:
    first = session.run(np.full((1, 3, 4, 4), 1, np.float32))

    session.run(np.full((1, 3, 4, 4), 2, np.float32))

    assert (first == 1).all()


def test_one_session_serves_many_threads_without_mixing_them(session: OpenVinoSession) -> None:
    assert mixed_up(session) == []


def resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def test_photos_of_all_sizes_leave_no_memory_behind() -> None:
    session = OpenVinoSession(made_here.CLOTHING.path_in(made_here.FOLDER), slots=InferenceSlots(1))
    sizes = [(32 * rows, 32 * columns) for rows in range(1, 13) for columns in range(1, 13)]
    largest = sizes.pop()
    for height, width in (largest, *sizes[::12]):
        session.run(np.zeros((1, 3, height, width), np.float32))
    before = resident_mb()

    for height, width in sizes:
        session.run(np.zeros((1, 3, height, width), np.float32))

    assert resident_mb() - before < 100


LOOKS = """
from pathlib import Path
from ml.sessions.openvino import OpenVinoSession
from ml.sessions.slots import InferenceSlots
from ml.weights import made_here
OpenVinoSession(Path({path!r}), slots=InferenceSlots(1))
"""


def test_runtime_keeps_no_id_of_this_machine_and_reports_to_nobody(tmp_path: Path) -> None:
    """Runtimes that report keep an id and what they have not sent yet below the home; in CI they are off by themselves."""
    of_ci = ("CI", "GITHUB_ACTIONS", "XDG_CACHE_HOME")
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    home = tmp_path / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name not in of_ci} | {"HOME": str(home)}

    subprocess.run([sys.executable, "-c", LOOKS.format(path=str(path))], cwd=ROOT, env=env, check=True)

    assert list(home.rglob("*")) == []
