"""Batching on torch's CPU device with tiny networks: no weights, no GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from ml.errors import DeviceFullError, DeviceLostError, SessionClosedError, ShapeError  # noqa: E402
from ml.sessions.torch import TorchSession  # noqa: E402


class Network(torch.nn.Module):  # type: ignore[name-defined]  # a module that may be missing
    """Doubles what it gets; remembers its batches; does what `before` says before each."""

    def __init__(self, before: Callable[[Any], None] = lambda _: None) -> None:
        super().__init__()
        self.before = before
        self.batches: list[int] = []

    def forward(self, x: Any) -> Any:
        self.batches.append(len(x))
        self.before(x)
        return 2 * x[:, :1]


class Gate:
    """Holds the first batch until it is opened, so that others queue behind it."""

    def __init__(self) -> None:
        self.is_held, self._opened = threading.Event(), threading.Event()

    def __call__(self, _: Any) -> None:
        self.is_held.set()
        assert self._opened.wait(30)

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def start() -> Iterator[Callable[..., TorchSession]]:
    made: list[TorchSession] = []

    def make(network: Network, **options: Any) -> TorchSession:
        session = TorchSession(network, device=torch.device("cpu"), name="test card", **{"gather_s": 0.0, **options})
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


def image(value: float, side: int = 4) -> np.ndarray:
    return np.full((1, 3, side, side), value, np.float32)


def queued_behind_gate(session: TorchSession, gate: Gate, tensors: list[np.ndarray]) -> list[Any]:
    """Ask for all of them at once while the device is busy; give each one's result or error."""
    with ThreadPoolExecutor(len(tensors) + 1) as pool:
        busy = pool.submit(session.run, image(0))
        assert gate.is_held.wait(30)
        asked = [pool.submit(session.run, tensor) for tensor in tensors]
        while len(session._waiting) < sum(map(len, tensors)):
            threading.Event().wait(0.001)
        gate.open()
        busy.result(30)
        return [future.exception(30) or future.result() for future in asked]


def test_waiting_requests_run_as_one_batch_and_each_gets_its_own(start: Callable[..., TorchSession]) -> None:
    gate = Gate()
    network = Network(gate)
    session = start(network, max_batch=4)

    results = queued_behind_gate(session, gate, [image(n) for n in range(6)])

    assert network.batches == [1, 4, 2]
    assert [(result.shape, float(result.max())) for result in results] == [((1, 1, 4, 4), 2.0 * n) for n in range(6)]


def test_sixteen_threads_get_what_they_asked_for(start: Callable[..., TorchSession]) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 2, 3, padding=1)
    tensors = np.random.default_rng(0).normal(size=(64, 1, 3, 8, 8)).astype(np.float32)
    with torch.inference_mode():
        expected = [layer(torch.from_numpy(tensor)).numpy() for tensor in tensors]
    session = start(layer, max_batch=8)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(session.run, tensors))

    assert np.allclose(results, expected, atol=1e-6)
    assert session.device == "test card"


def test_several_images_in_one_call_keep_their_order(start: Callable[..., TorchSession]) -> None:
    session = start(Network(), max_batch=2)

    result = session.run(np.concatenate([image(n) for n in range(5)]))

    assert result[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8]


def test_images_of_other_sizes_go_in_batches_of_their_own(start: Callable[..., TorchSession]) -> None:
    gate = Gate()
    network = Network(gate)
    session = start(network)

    results = queued_behind_gate(session, gate, [image(1), image(2, side=6), image(3), image(4, side=6)])

    assert network.batches == [1, 2, 2]
    assert [result.shape[2] for result in results] == [4, 6, 4, 6]
    assert [float(result.max()) for result in results] == [2, 4, 6, 8]


def test_one_bad_request_does_not_harm_the_others(start: Callable[..., TorchSession]) -> None:
    gate = Gate()

    def refuse_thirteen(x: Any) -> None:
        gate(x)
        if (x == 13).any():
            raise ValueError("thirteen")

    session = start(Network(refuse_thirteen))

    results = queued_behind_gate(session, gate, [image(1), image(13), image(3)])

    assert isinstance(results[1], ValueError)
    assert [float(results[n].max()) for n in (0, 2)] == [2, 6]
    assert session.run(image(5)).max() == 10


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 4, 4), np.float32), np.zeros((0, 3, 4, 4), np.float32), np.zeros((1, 3, 4, 4))]
)
def test_wrong_arrays_are_refused_before_they_reach_the_device(
    start: Callable[..., TorchSession], wrong: np.ndarray
) -> None:
    network = Network()

    with pytest.raises(ShapeError):
        start(network).run(wrong)

    assert network.batches == []


def test_batch_that_is_too_much_for_the_memory_is_halved(start: Callable[..., TorchSession]) -> None:
    gate = Gate()

    def hold_two(x: Any) -> None:
        gate(x)
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    network = Network(hold_two)
    session = start(network, max_batch=8)

    results = queued_behind_gate(session, gate, [image(n) for n in range(10)])

    assert [float(result.max()) for result in results] == [2.0 * n for n in range(10)]
    # A size may be tried twice: what is still in flight takes its share of the memory.
    assert [size for size in network.batches if size <= 2] == [1, 2, 2, 2, 2, 2]
    assert set(network.batches) == {1, 2, 4, 8}
    assert session._most == 2


def test_image_that_does_not_fit_alone_fails_alone(start: Callable[..., TorchSession]) -> None:
    gate = Gate()

    def refuse_thirteen(x: Any) -> None:
        gate(x)
        if (x == 13).any():
            raise torch.OutOfMemoryError("CUDA out of memory")

    session = start(Network(refuse_thirteen))

    results = queued_behind_gate(session, gate, [image(1), image(13), image(3), image(4)])

    assert isinstance(results[1], DeviceFullError)
    assert [float(results[n].max()) for n in (0, 2, 3)] == [2, 6, 8]


def test_size_grows_again_when_memory_is_back(
    start: Callable[..., TorchSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.sessions.torch._GROW_AGAIN_AFTER", 3)
    session = start(Network(), max_batch=8)
    session._shrink_to(1)

    for _ in range(9):
        session.run(image(1))

    assert session._most == 8


def test_dead_thread_leaves_nobody_waiting(start: Callable[..., TorchSession]) -> None:
    gate = Gate()

    def die(x: Any) -> None:
        gate(x)
        raise SystemExit

    session = start(Network(die))

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(session.run, image(1))
        assert gate.is_held.wait(30)
        second = ThreadPoolExecutor(1).submit(session.run, image(2))
        while not session._waiting:
            threading.Event().wait(0.001)
        gate.open()

        assert isinstance(first.exception(30), DeviceLostError)
        assert isinstance(second.exception(30), DeviceLostError)
    with pytest.raises(DeviceLostError):
        session.run(image(3))


def test_device_that_computes_nothing_any_more_is_lost(
    start: Callable[..., TorchSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    session = start(Network(fail))
    monkeypatch.setattr("torch.ones", fail)

    with pytest.raises(DeviceLostError):
        session.run(image(1))


def test_close_finishes_what_was_asked_and_refuses_what_comes(start: Callable[..., TorchSession]) -> None:
    gate = Gate()
    session = start(Network(gate), max_batch=2)

    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(session.run, image(n)) for n in range(4)]
        assert gate.is_held.wait(30)
        while len(session._open) < 4:
            threading.Event().wait(0.001)
        closing = pool.submit(session.close)
        gate.open()
        closing.result(30)

        assert [float(future.result(30).max()) for future in futures] == [0, 2, 4, 6]
    assert not any(thread.is_alive() for thread in session._threads)
    with pytest.raises(SessionClosedError):
        session.run(image(1))
