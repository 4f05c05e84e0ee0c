"""Which device a worker takes, and what it says when it cannot have the one that it must."""

from __future__ import annotations

import sys

import pytest

from ml.errors import GpuMissingError
from ml.sessions import gpu
from ml.sessions.gpu import Gpu, choose_gpu
from ml.sessions.slots import InferenceSlots


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_has_driver", lambda: True)


def test_worker_without_a_driver_does_not_import_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_has_driver", lambda: False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now raises

    assert choose_gpu("auto", is_required=False) is None
    with pytest.raises(GpuMissingError, match=r"^REQUIRE_GPU=1, but no NVIDIA driver .*libcuda"):
        choose_gpu("auto", is_required=True)


def test_missing_torch_is_named(
    driver: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(GpuMissingError, match=r"^DEVICE=cuda, but torch is not installed: .*worker-gpu\.lock"):
        choose_gpu("cuda", is_required=False)
    assert choose_gpu("auto", is_required=False) is None
    assert "torch is not installed" in caplog.text, "a GPU lies idle and nobody is told"


def test_torch_for_cpus_is_named(driver: None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "cuda", None)

    with pytest.raises(GpuMissingError, match="is a build for CPUs"):
        choose_gpu("auto", is_required=True)


def test_cuda_that_does_not_start_says_why(driver: None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    def fail() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old")

    monkeypatch.setattr(torch.version, "cuda", "12.9")
    monkeypatch.setattr(torch.cuda, "init", fail)

    with pytest.raises(GpuMissingError, match="too old"):
        choose_gpu("auto", is_required=True)


def test_cpu_is_taken_when_asked_for_and_contradicts_a_required_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_name_of_gpu", lambda: "card")

    assert choose_gpu("cpu", is_required=False) is None
    with pytest.raises(GpuMissingError, match="contradict"):
        choose_gpu("cpu", is_required=True)


@pytest.mark.parametrize(("cores", "asked", "jobs"), [(4, 0, 4), (16, 0, 16), (64, 0, 24), (4, 40, 40)])
def test_gpu_takes_a_job_for_each_core(monkeypatch: pytest.MonkeyPatch, cores: int, asked: int, jobs: int) -> None:
    monkeypatch.setattr(gpu, "_name_of_gpu", lambda: "card")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    chosen = choose_gpu("auto", is_required=False, jobs=asked, max_batch=5)

    assert chosen == Gpu(name="card", jobs=jobs, max_batch=5)
    assert InferenceSlots(gpu=chosen).jobs == jobs
    assert InferenceSlots(2).jobs == 2
