"""The session on a tiny network of two outputs: no weights needed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from apps.stack.paths import ROOT
from ml.sessions.onnx import OnnxSession
from ml.sessions.onnx_graph import write_with_first_output_only
from ml.sessions.slots import InferenceSlots
from tests.ml.tiny_onnx import mixed_up, tiny_model


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    return path


def pruned(model: bytes) -> bytes:
    target = io.BytesIO()
    write_with_first_output_only(model, target)
    return target.getvalue()


def test_side_outputs_are_cut_and_the_rest_is_untouched() -> None:
    assert pruned(tiny_model()) == tiny_model(("first",))
    assert pruned(tiny_model(("first",))) == tiny_model(("first",))
    names = [output.name for output in ort.InferenceSession(pruned(tiny_model())).get_outputs()]
    assert names == ["first"]


@pytest.mark.parametrize("junk", [b"\xff" * 20, tiny_model()[:-5], b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_onnx_file_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX"):
        pruned(junk)


def test_session_gives_the_first_output(model_path: Path) -> None:
    tensor = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)

    output = OnnxSession(model_path, slots=InferenceSlots(1, threads_per_run=1)).run(tensor)

    assert np.array_equal(output, np.maximum(tensor, 0))


def test_one_session_serves_many_threads_without_mixing_them(model_path: Path) -> None:
    session = OnnxSession(model_path, slots=InferenceSlots(2, threads_per_run=1))

    assert mixed_up(session) == []


def test_slots_bound_the_runs_at_once() -> None:
    slots = InferenceSlots(2, threads_per_run=1)
    inside = threading.Semaphore(0)
    leave = threading.Event()

    def work() -> None:
        inside.release()
        leave.wait(10)

    threads = [threading.Thread(target=slots.run, args=(work,)) for _ in range(3)]
    for thread in threads:
        thread.start()

    assert inside.acquire(timeout=60)
    assert inside.acquire(timeout=60)
    assert not inside.acquire(timeout=0.05), "a third run got in"
    leave.set()
    assert inside.acquire(timeout=60)
    for thread in threads:
        thread.join()


def test_slot_is_free_again_after_an_error() -> None:
    slots = InferenceSlots(1, threads_per_run=1)

    def bad() -> None:
        raise RuntimeError("bad")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="bad"):
            slots.run(bad)


def test_network_goes_first_when_its_caller_gives_way() -> None:
    slots = InferenceSlots(2, threads_per_run=1)
    seen: list[tuple[int, int]] = []

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def caller() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        seen.append((priority(), slots.run(priority)))

    threads = [threading.Thread(target=caller) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [(10, priority())] * 3


@pytest.mark.parametrize(
    ("cores", "count", "threads"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (6, 1, 6), (8, 2, 4), (16, 4, 4)]
)
def test_slots_fit_the_machine(monkeypatch: pytest.MonkeyPatch, cores: int, count: int, threads: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    slots = InferenceSlots()

    assert (slots.count, slots.threads_per_run) == (count, threads)
    assert InferenceSlots(cores).threads_per_run == 1


def test_slots_refuse_none_at_all() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InferenceSlots(0)


LOOKS = """
from pathlib import Path
from ml.sessions.onnx import OnnxSession
from ml.sessions.slots import InferenceSlots
OnnxSession(Path({path!r}), slots=InferenceSlots(1))
"""


def test_runtime_keeps_no_id_of_this_machine_and_reports_to_nobody(model_path: Path, tmp_path: Path) -> None:
    """Its uploader keeps its id and what it has not sent yet below the home; in CI it is off by itself."""
    of_ci = ("CI", "GITHUB_ACTIONS", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")
    home = tmp_path / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name not in of_ci} | {"HOME": str(home)}

    subprocess.run([sys.executable, "-c", LOOKS.format(path=str(model_path))], cwd=ROOT, env=env, check=True)

    assert list(home.rglob("*")) == []
