"""Drawn photos with drawn marks, a network that sees exactly what it is told, and the one that repairs."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from ml.sessions.openvino import OpenVinoSession
from ml.sessions.slots import InferenceSlots
from ml.watermark.finder import Sight
from ml.watermark.pipeline import WatermarkPipeline
from ml.watermark.repair_network import RepairNetwork
from ml.weights import made_here


def photo(seed: int, *, height: int = 240, width: int = 320) -> np.ndarray:
    """Soft coloured shapes and some grain."""
    rng = np.random.default_rng(seed)
    small = rng.integers(20, 236, (height // 24, width // 24, 3)).astype(np.uint8)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(smooth + rng.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)


def strokes(
    *, height: int = 240, width: int = 320, text: str = "SAMPLE", at: tuple[int, int] = (60, 130)
) -> np.ndarray:
    """(H, W) float32, 0..1: letters with smooth edges."""
    plane = np.zeros((height, width), np.uint8)
    cv2.putText(plane, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.6, 255, 5, cv2.LINE_AA)
    return plane.astype(np.float32) / 255


def blend(clean: np.ndarray, shape: np.ndarray, *, opacity: float, colour: tuple[int, int, int]) -> np.ndarray:
    alpha = (opacity * shape)[..., None]
    return np.clip((1 - alpha) * clean + alpha * np.array(colour, np.float32) + 0.5, 0, 255).astype(np.uint8)


def error(image: np.ndarray, clean: np.ndarray, shape: np.ndarray) -> float:
    """Mean absolute levels inside the strokes."""
    return float(np.abs(image.astype(np.float32) - clean.astype(np.float32))[shape > 0.1].mean())


class Network:
    """Sees one shape in every photo of its size, or nothing."""

    device = "cpu"

    def __init__(self, shape: np.ndarray | None = None, *, opacity: float = 0.5, sure: float = 1.0) -> None:
        self.shape, self.opacity, self.sure = shape, opacity, np.float32(sure)

    def look(self, image: np.ndarray, *, most_pixels: int) -> Sight:
        shape = self.shape if self.shape is not None and self.shape.shape == image.shape[:2] else None
        seen = np.zeros(image.shape[:2], np.float32) if shape is None else shape
        near = (cv2.dilate((seen > 0.3).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0).astype(np.float32)
        return Sight(seen, seen * np.float32(self.opacity), self.sure * near)


@cache
def repairer() -> RepairNetwork:
    """The real one: it is small."""
    return RepairNetwork(OpenVinoSession(made_here.REPAIR.path_in(made_here.FOLDER), slots=InferenceSlots()))


def pipeline(shape: np.ndarray | None = None, *, opacity: float = 0.5, sure: float = 1.0) -> WatermarkPipeline:
    return WatermarkPipeline(
        Network(shape, opacity=opacity, sure=sure), repairer(), model_name="drawn", model_version="0"
    )
