"""Quick stand-ins for the networks, and a `Models` that holds them: what is drawn by colour is found by colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ml.background.pipeline import BackgroundPipeline
from ml.models import Models
from ml.pointing.pipeline import PointingPipeline
from ml.sessions.slots import InferenceSlots
from tests.garments import GarmentsByColour
from tests.watermarks import MarksByColour


class NotTheCornersColour:
    """Stands in for the network: the subject is what differs from the top left corner's colour."""

    device = "cpu"

    def predict_native(self, image: Any) -> Any:
        difference = np.abs(image.astype(np.int16) - image[0, 0].astype(np.int16)).max(axis=2)
        # The pipeline shows it the photo grown to a square: an edge is where half of the way is gone.
        return (difference > max(24, int(difference.max()) // 2)).astype(np.float32)


@dataclass
class SeenColours:
    """Stands in for SAM's embedding: the picture itself."""

    features: Any
    shape_hw: tuple[int, int]


class OneColour:
    """Stands in for SAM: what is meant is what hangs together in the clicked pixel's colour, or fills the box."""

    device = "cpu"

    def __init__(self) -> None:
        self.looks = 0

    def embed(self, image: Any) -> SeenColours:
        self.looks += 1
        return SeenColours(image, image.shape[:2])

    def segment(self, embedding: SeenColours, *, points_xy: Any, labels: Any, box_xyxy: Any, is_ambiguous: bool) -> Any:
        mask = np.zeros(embedding.shape_hw, bool)
        if box_xyxy is not None:
            x0, y0, x1, y1 = np.asarray(box_xyxy, int)
            mask[y0:y1, x0:x1] = True
        elif labels[0] == 1:
            mask = self._region(embedding.features, points_xy[0])
        logits = np.where(mask, 5, -5).astype(np.float32)[None]
        return (np.repeat(logits, 3, 0), np.full(3, 0.9)) if is_ambiguous else (logits, np.full(1, 0.9))

    def _region(self, image: Any, point_xy: Any) -> Any:
        column, row = int(point_xy[0]), int(point_xy[1])
        same = (np.abs(image.astype(np.int16) - image[row, column].astype(np.int16)).max(axis=2) < 25).astype(np.uint8)
        labels = cv2.connectedComponents(same)[1]
        return labels == labels[row, column]


class StandInModels(Models):
    """Gives stand-ins, or what it is given instead."""

    def __init__(self, *, background: Any = None, clothing: Any = None, watermark: Any = None) -> None:
        super().__init__(Path(), slots=InferenceSlots(1))
        self.pointer = OneColour()
        self._background = background or BackgroundPipeline(
            NotTheCornersColour(), model_name="stand-in", model_version="1"
        )
        self._clothing = clothing or GarmentsByColour()
        self._watermark = watermark or MarksByColour()

    def background(self) -> Any:
        return self._background

    def pointing(self) -> PointingPipeline:
        matte = NotTheCornersColour().predict_native
        return PointingPipeline(self.pointer, matte=matte, model_name="one-colour", model_version="1")

    def clothing(self) -> Any:
        return self._clothing

    def watermark(self) -> Any:
        return self._watermark
