"""The OpenVINO session on a tiny network of two outputs: no weights needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.sessions.openvino import OpenVinoSession
from ml.sessions.slots import InferenceSlots
from tests.ml.tiny_onnx import mixed_up, tiny_model


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenVinoSession:
    """On the one slot of a machine of two cores, which runs may share."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    return OpenVinoSession(path, slots=InferenceSlots(share=True))


def test_session_gives_the_first_output(session: OpenVinoSession) -> None:
    tensor = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)

    output = session.run(tensor)

    assert np.array_equal(output, np.maximum(tensor, 0))


def test_an_output_stays_what_it_was_when_the_next_run_comes(session: OpenVinoSession) -> None:
    first = session.run(np.full((1, 3, 4, 4), 1, np.float32))

    session.run(np.full((1, 3, 4, 4), 2, np.float32))

    assert (first == 1).all()


def test_one_session_serves_many_threads_without_mixing_them(session: OpenVinoSession) -> None:
    assert mixed_up(session) == []
