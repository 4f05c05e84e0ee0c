"""
Torch on a GPU: requests of many threads in one batch, in half precision.

Two threads feed the device (docs/adr/0010). The launcher takes what waits, copies it over and queues the network, which
costs it no waiting; the finisher waits for the device and hands each caller its slice. So while one batch runs, the next
one's pixels travel. Callers pin and unpin their own pixels, so that no copy between two places in memory is on the way.

Half precision is float16: its maps of a photo stay three to nine times nearer to those of 32 bits than bfloat16's (U²-Net-p,
U²-Net), and the networks' activations stay far below 65,504, where it ends (132 in IS-Net).

On torch's CPU device everything is the same but pinning, streams and precision.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.errors import DeviceError, DeviceFullError, DeviceLostError, SessionClosedError, ShapeError
from ml.sessions.gpu import Gpu

log = logging.getLogger(__name__)
_MOST_IN_FLIGHT = 2
_LOOK_EVERY_S = 1.0
_GROW_AGAIN_AFTER = 200
"""Batches without trouble until a size that was halved for want of memory is doubled again."""
_SHARE_OF_FREE_MEMORY = 0.3
"""For one batch; two are in flight, and other networks live on the same card."""
_PIXELS_WORTH_BATCHING = 8 * 1024 * 1024
"""Beyond eight images of IS-Net's size the card is busy anyway, and a batch only keeps its first caller waiting."""


@dataclass(eq=False)
class _Request:
    pixels: Tensor
    """(C, H, W) float32, pinned where the device is a GPU."""
    answer: Future[NDArray[np.float32]] = field(default_factory=Future)


@dataclass(eq=False)
class _Launched:
    requests: Sequence[_Request]
    output: Tensor
    """(N, C, H, W) float32 in the host's memory; complete when `done` has happened."""
    done: torch.cuda.Event | None


class TorchSession:
    """A network that many threads call at once; it lives until `close`."""

    def __init__(
        self, network: nn.Module, *, device: torch.device, name: str, max_batch: int = 8, gather_s: float = 0.003
    ) -> None:
        """
        Args:
            network: takes (N, C, H, W) in half precision (float32 on a CPU) and gives one map for each image.
            device: where it runs; the network is moved there.
            name: what the device is called in answers.
            max_batch: images in one run.
            gather_s: seconds that an idle device waits for a second image when one has come.
        """
        self.device = name
        self.max_batch = max_batch
        self._on_gpu = device.type == "cuda"
        self._device = device
        self._network = place(network, device)
        self._gather_s = gather_s
        self._copies = torch.cuda.Stream(device) if self._on_gpu else None
        self._runs = torch.cuda.Stream(device) if self._on_gpu else None
        self._changed = threading.Condition()  # guards everything below
        self._waiting: deque[_Request] = deque()
        self._open: set[_Request] = set()
        self._in_flight = 0
        self._most = max_batch
        self._calm_batches = 0
        self._refusal: type[DeviceError] | None = None
        self._launched: queue.SimpleQueue[_Launched | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=loop, name=f"torch-{loop.__name__.strip('_')}", daemon=True)
            for loop in (self._launch_all, self._finish_all)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """
        Run the network, together with what other threads ask for.

        Args:
            tensor: (N, C, H, W) float32, N at least 1, as the network was trained to see it.

        Returns:
            (N, ...) float32, the network's output.

        Raises:
            ShapeError: `tensor` is of another shape or dtype.
            DeviceFullError: one image alone does not fit into the device's memory.
            DeviceLostError: the device fails every run from now on.
            SessionClosedError: `close` was called.
            Exception: whatever the network raises for these very images.
        """
        if tensor.ndim != 4 or tensor.dtype != np.float32 or not len(tensor):
            raise ShapeError(f"takes (N, C, H, W) float32, not {tensor.shape} {tensor.dtype}")
        requests = [self._ask(image) for image in tensor]
        return np.stack([self._answer_to(request) for request in requests])

    def close(self) -> None:
        """Do what has been asked for, refuse what comes, and end the threads."""
        with self._changed:
            self._refusal = self._refusal or SessionClosedError
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    # --- the callers' threads ---------------------------------------------------------------------------

    def _ask(self, image: NDArray[np.float32]) -> _Request:
        pixels = torch.from_numpy(np.ascontiguousarray(image))
        request = _Request(pixels.pin_memory() if self._on_gpu else pixels)
        with self._changed:
            if self._refusal is not None:
                raise self._refusal(f"nothing runs on {self.device} any more")
            self._waiting.append(request)
            self._open.add(request)
            self._changed.notify_all()
        return request

    def _answer_to(self, request: _Request) -> NDArray[np.float32]:
        while not wait([request.answer], timeout=_LOOK_EVERY_S).done:
            if not all(thread.is_alive() for thread in self._threads) and not request.answer.done():
                raise DeviceLostError(f"the threads that feed {self.device} are gone")
        return request.answer.result()

    # --- the launcher -----------------------------------------------------------------------------------

    def _launch_all(self) -> None:
        try:
            with torch.inference_mode():
                while batch := self._next_batch():
                    self._launch(batch)
        except BaseException:  # a thread that died in silence would leave its callers waiting
            log.exception("the launcher ends")
            self._lose_device()
        finally:
            self._launched.put(None)

    def _next_batch(self) -> list[_Request]:
        """Wait until a batch may start; it holds images of one size. Empty: the session is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._may_launch() or self._refusal)
            if self._waiting and not self._in_flight and not self._refusal:
                self._changed.wait_for(lambda: self._refusal or len(self._waiting) >= self._most, self._gather_s)
            return self._take()

    def _may_launch(self) -> bool:
        """An idle device takes anything; one at work takes a full batch, else it is better to let more come."""
        if not self._in_flight:
            return bool(self._waiting)
        return self._in_flight < _MOST_IN_FLIGHT and len(self._waiting) >= self._most

    def _take(self) -> list[_Request]:
        batch: list[_Request] = []
        others: list[_Request] = []
        while self._waiting and len(batch) < self._most:
            request = self._waiting.popleft()
            fits = not batch or request.pixels.shape == batch[0].pixels.shape
            (batch if fits else others).append(request)
        self._waiting.extendleft(reversed(others))
        return batch

    def _launch(self, batch: Sequence[_Request]) -> None:
        """
        Start a batch; split it where it is too much for the memory, or where one of its images offends the network.

        Raises:
            DeviceLostError: the device computes nothing any more.
        """
        try:
            launched = self._start(batch)
        except torch.OutOfMemoryError:
            failure = None
        except Exception as error:  # noqa: BLE001 - whatever the network raises is its caller's
            failure = error
        else:
            self._note_launched(launched)
            return
        # Not inside `except`: there the traceback would still hold the tensors that did not fit.
        had_company = self._drain()
        if failure is None and had_company:
            self._launch(batch)
        elif len(batch) == 1:
            self._answer(batch[0], error=failure or DeviceFullError(f"an image does not fit into {self.device}"))
        else:
            part = 1 if failure else len(batch) // 2
            if failure is None:
                self._shrink_to(part)
            for start in range(0, len(batch), part):
                self._launch(batch[start : start + part])

    def _start(self, batch: Sequence[_Request]) -> _Launched:
        """Queue the copies and the network; on a GPU this returns before they are done."""
        with torch.cuda.stream(self._copies) if self._copies else contextlib.nullcontext():
            images = torch.empty((len(batch), *batch[0].pixels.shape), device=self._device)
            for image, request in zip(images, batch, strict=True):
                image.copy_(request.pixels, non_blocking=True)
        if self._runs and self._copies:
            self._runs.wait_stream(self._copies)
            images.record_stream(self._runs)
        with torch.cuda.stream(self._runs) if self._runs else contextlib.nullcontext():
            result = self._network(images.to(dtype_on(self._device), memory_format=torch.channels_last)).float()
            output = torch.empty(result.shape, pin_memory=self._on_gpu)
            output.copy_(result, non_blocking=True)
            if self._runs is None:
                return _Launched(batch, output, done=None)
            done = torch.cuda.Event(blocking=True)  # waiting for it sleeps instead of spinning on a core
            done.record(self._runs)
        return _Launched(batch, output, done)

    def _note_launched(self, launched: _Launched) -> None:
        with self._changed:
            self._in_flight += 1
            self._calm_batches += 1
            if self._most < self.max_batch and self._calm_batches >= _GROW_AGAIN_AFTER:
                self._most, self._calm_batches = min(self.max_batch, 2 * self._most), 0
        self._launched.put(launched)

    def _shrink_to(self, size: int) -> None:
        log.warning(
            "a batch does not fit into the device's memory", extra={"facts": {"device": self.device, "new": size}}
        )
        with self._changed:
            self._most, self._calm_batches = size, 0

    def _drain(self) -> bool:
        """
        Let the device finish, give its spare memory back, and see that it still computes.

        Returns:
            Whether a batch was in flight, which took its share of the memory.

        Raises:
            DeviceLostError: it does not.
        """
        with self._changed:
            had_company = self._in_flight > 0
            self._changed.wait_for(lambda: not self._in_flight or self._refusal is DeviceLostError)
        try:
            if self._on_gpu:
                torch.cuda.empty_cache()
            torch.ones(1, device=self._device).add_(1).item()
        except torch.OutOfMemoryError:
            log.warning("not a byte is free", extra={"facts": {"device": self.device}})
        except RuntimeError as error:
            raise DeviceLostError(f"{self.device} computes nothing any more") from error
        return had_company

    # --- the finisher -----------------------------------------------------------------------------------

    def _finish_all(self) -> None:
        try:
            while (launched := self._launched.get()) is not None:
                if launched.done is not None:
                    launched.done.synchronize()
                for request, image in zip(launched.requests, launched.output.numpy(), strict=True):
                    self._answer(request, image=image)
                with self._changed:
                    self._in_flight -= 1
                    self._changed.notify_all()
        except BaseException:  # an error of the device itself comes up here, long after the call that caused it
            log.exception("the finisher ends")
            self._lose_device()

    def _answer(
        self, request: _Request, *, image: NDArray[np.float32] | None = None, error: Exception | None = None
    ) -> None:
        with self._changed:
            self._open.discard(request)
        if image is not None:
            request.answer.set_result(image)
        else:
            request.answer.set_exception(error)

    def _lose_device(self) -> None:
        """Refuse what comes, and let nobody wait for what will not come."""
        with self._changed:
            self._refusal = DeviceLostError
            lost, self._open = self._open, set()
            self._waiting.clear()
            self._changed.notify_all()
        for request in lost:
            if not request.answer.done():
                request.answer.set_exception(DeviceLostError(f"{self.device} was lost while it worked"))


def open_session(network: nn.Module, gpu: Gpu, *, image_shape: tuple[int, int, int]) -> TorchSession:
    """
    Move a network to a GPU and serve it there, in batches as large as pays and fits.

    Args:
        network: float32 weights on the CPU.
        gpu: where to.
        image_shape: channels, height, width of what the network takes.

    Raises:
        DeviceFullError: the network or one image does not fit into the card's free memory.
    """
    device = torch.device(gpu.torch_name)
    try:
        placed = place(network, device)
        max_batch = gpu.max_batch or largest_batch(placed, device, image_shape=image_shape)
    except torch.OutOfMemoryError as error:
        raise DeviceFullError(f"{gpu.name} has too little free memory: {error}") from error
    return TorchSession(placed, device=device, name=gpu.name, max_batch=max_batch)


def dtype_on(device: torch.device) -> torch.dtype:
    """What networks compute in: float16 on a GPU, float32 on a CPU, which has no units for halves."""
    return torch.float16 if device.type == "cuda" else torch.float32


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in its precision and with channels last, as its matrix units read them."""
    moved = network.eval().requires_grad_(False).to(device, dtype_on(device))
    placed: nn.Module = nn.utils.convert_conv2d_weight_memory_format(moved, torch.channels_last)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # other streams will read these weights
    return placed


def largest_batch(network: nn.Module, device: torch.device, *, image_shape: tuple[int, int, int]) -> int:
    """
    Images in one run: as many as keep the card busy, fewer where its free memory does not hold them. Runs one image.

    Args:
        network: already on `device`.
        image_shape: channels, height, width.
    """
    _, height, width = image_shape
    enough = max(8, min(64, _PIXELS_WORTH_BATCHING // (height * width)))
    if device.type != "cuda":
        return enough
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        network(
            torch.zeros((1, *image_shape), device=device, dtype=dtype_on(device)).contiguous(
                memory_format=torch.channels_last
            )
        )
    torch.cuda.synchronize(device)
    one_bytes = max(1, torch.cuda.max_memory_allocated(device) - before)
    torch.cuda.empty_cache()
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return max(1, min(enough, int(_SHARE_OF_FREE_MEMORY * free_bytes / one_bytes)))
