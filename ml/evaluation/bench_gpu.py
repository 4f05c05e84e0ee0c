"""
Measure how much of a GPU the service can use: `python -m ml.evaluation.bench_gpu [--weights DIR] [--network isnet]`.

Three rates, in images a second: the network alone with its pixels already on the card, at its best batch; through
TorchSession with many threads that bring their pixels along; and with a JPEG to decode before and a PNG to encode after.
`--device cpu` tries it out on torch's CPU device. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from ml.background.saliency_network import SaliencyNetwork
from ml.background.saliency_torch_network import BUILDERS, build
from ml.errors import GpuMissingError
from ml.picture import compositing
from ml.picture.types import RgbImage
from ml.sessions.gpu import Gpu, choose_gpu
from ml.sessions.onnx_weights import convolutions_of
from ml.sessions.torch import TorchSession, dtype_on, open_session, place
from ml.weights.catalogue import MODELS
from ml.weights.specs import ModelSpec


def main() -> int:
    """Print the table. Returns the exit code."""
    options = _options()
    try:
        gpu = choose_gpu(options.device, is_required=options.device == "cuda", max_batch=options.max_batch)
    except GpuMissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    gpu = gpu or Gpu(name="cpu", jobs=1, max_batch=options.max_batch, torch_name="cpu")
    clients = options.clients or 2 * len(os.sched_getaffinity(0))
    spec = MODELS[options.network]
    network = build(spec.name, convolutions_of((options.weights / spec.files[0].name).read_bytes()))
    limit, best = _limit(network, gpu, spec.input_side_px, seconds=options.seconds)
    session = open_session(network, gpu, image_shape=(3, spec.input_side_px, spec.input_side_px))
    tensor = np.zeros((1, 3, spec.input_side_px, spec.input_side_px), np.float32)
    rates = {
        f"network alone, batches of {best}": limit,
        f"TorchSession, {clients} threads, batches up to {session.max_batch}": _rate(
            lambda: session.run(tensor), clients=clients, seconds=options.seconds
        ),
        f"the same, with decoding {options.photo.name} and encoding PNG": _rate(
            _with_pictures(spec, session, options.photo.read_bytes()), clients=clients, seconds=options.seconds
        ),
    }
    session.close()
    sys.stdout.write(f"{spec.name} on {gpu.name}, {len(os.sched_getaffinity(0))} cores\n\n")
    sys.stdout.write("| what | images/s | of the network's limit |\n|---|---|---|\n")
    for what, rate in rates.items():
        sys.stdout.write(f"| {what} | {rate:.2f} | {rate / limit:.0%} |\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("var/weights"))
    parser.add_argument("--network", choices=sorted(BUILDERS.keys() & MODELS.keys()), default="isnet")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--clients", type=int, default=0, help="threads; by default two for each core")
    parser.add_argument("--max-batch", type=int, default=0, help="by default what pays and fits")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each measurement")
    parser.add_argument("--photo", type=Path, default=Path("docs/demo.jpg"))
    return parser.parse_args()


def _limit(network: nn.Module, gpu: Gpu, side_px: int, *, seconds: float) -> tuple[float, int]:
    """The most images a second that the network does on this device, and the batch that it takes."""
    device = torch.device(gpu.torch_name)
    placed = place(network, device)
    rates: dict[int, float] = {}
    for batch in (1, 2, 4, 8, 16, 32, 64):
        if gpu.max_batch and batch > gpu.max_batch:
            break
        try:
            rates[batch] = _rate_alone(placed, device, (batch, 3, side_px, side_px), seconds=seconds)
        except torch.OutOfMemoryError:
            break
    if device.type == "cuda":
        torch.cuda.empty_cache()
    best = max(rates, key=rates.__getitem__)
    return rates[best], best


@torch.inference_mode()
def _rate_alone(network: nn.Module, device: torch.device, shape: tuple[int, ...], *, seconds: float) -> float:
    images = torch.zeros(shape, device=device, dtype=dtype_on(device)).to(memory_format=torch.channels_last)
    network(images)
    _synchronise(device)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(4 if device.type == "cuda" else 1):  # queued ahead, so that the card never waits for Python
            network(images)
            done += len(images)
        _synchronise(device)
    return done / (time.perf_counter() - started)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _with_pictures(spec: ModelSpec, session: TorchSession, photo: bytes) -> Callable[[], None]:
    network = SaliencyNetwork(session, side_px=spec.input_side_px, mean_rgb=spec.mean_rgb, std_rgb=spec.std_rgb)
    data = np.frombuffer(photo, np.uint8)

    def cut_out() -> None:
        image: RgbImage = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
        alpha = (network.predict(image) * 255).astype(np.uint8)
        cv2.imencode(".png", compositing.cut_out(image, alpha), [cv2.IMWRITE_PNG_COMPRESSION, 1])

    return cut_out


def _rate(work: Callable[[], object], *, clients: int, seconds: float) -> float:
    """Images a second with so many threads that each do one image after the other."""
    work()
    finished: list[int] = []
    started = time.perf_counter()

    def repeat() -> None:
        done = 0
        while time.perf_counter() - started < seconds:
            work()
            done += 1
        finished.append(done)

    threads = [threading.Thread(target=repeat) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(finished) / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
