"""
Segment Anything (Kirillov et al. 2023, arXiv 2304.02643): from points and a box to masks of the object meant.

`SamPredictor` of the segment-anything package drives it. Its model is the package's own `Sam` in both cases: with the
parts of an official checkpoint (`ml.pointing.sam_checkpoint`), or, by default, with parts that run two ONNX files: an image
encoder (TinyViT, as in MobileSAM, arXiv 2306.14289), and SAM's prompt encoder and mask decoder in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ml.picture.transforms import require_rgb, shrink_or_grow
from ml.picture.types import RgbImage
from ml.pointing.torchvision_stand_in import torchvision_at_hand

with torchvision_at_hand():
    from segment_anything import SamPredictor
    from segment_anything.modeling import Sam

Floats = NDArray[np.float32]

SIDE_PX = 1024
"""Long side of what the image encoder sees."""

LOW_SIDE_PX = 256
"""Side of the masks that the decoder gives; they cover the padded square."""

DECODER_OUTPUTS = ("/Reshape_9_output_0", "/iou_prediction_head/layers.2/Gemm_output_0")
"""
The four masks (1, 4, 256, 256) and their predicted IoUs (1, 4), before the exported graph picks one of them.

The graph gives the picked one alone; which of the three for an ambiguous click is meant, the pipeline can tell better.
"""

_PAD, _BOX_CORNERS = -1.0, (2.0, 3.0)


class Encoder(Protocol):
    """Runs the image encoder's graph: `ml.sessions.openvino.OpenVinoSession`, or a test's fake."""

    def run(self, tensor: Floats) -> Floats:
        """From (1, 3, 1024, 1024) float32, normalised and padded, to (1, 256, 64, 64) float32."""
        ...


class Decoder(Protocol):
    """Runs the decoder's graph: `ml.sessions.openvino.OpenVinoGraph` with DECODER_OUTPUTS, or a test's fake."""

    def run(self, tensors: Mapping[str, Floats]) -> list[Floats]:
        """Give four masks' logits, (1, 4, 256, 256) float32, and their IoUs, (1, 4) float32."""
        ...


class _OnnxImageEncoder(nn.Module):
    img_size = SIDE_PX

    def __init__(self, session: Encoder) -> None:
        super().__init__()
        self._session = session

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._session.run(image.numpy()))


class _PromptCollector(nn.Module):
    """Hands the prompts on as they are: the exported decoder encodes them itself."""

    def forward(
        self,
        points: tuple[torch.Tensor, torch.Tensor] | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Give (1, N, 3) float32: x, y in pixels of the square, and SAM's label; as its prompt encoder orders them."""
        rows: list[torch.Tensor] = []
        if points is not None:
            rows.append(torch.cat([points[0][0], points[1][0, :, None].float()], dim=1))
        if boxes is None:
            rows.append(torch.tensor([[0.0, 0.0, _PAD]]))
        else:
            rows.append(torch.cat([boxes.reshape(2, 2), torch.tensor(_BOX_CORNERS)[:, None]], dim=1))
        return torch.cat(rows)[None], masks

    def get_dense_pe(self) -> None:
        """The exported decoder has the positional encoding in it."""


class _OnnxMaskDecoder(nn.Module):
    def __init__(self, session: Decoder) -> None:
        super().__init__()
        self._session = session

    def forward(
        self,
        *,
        image_embeddings: torch.Tensor,
        image_pe: None,  # noqa: ARG002  SamPredictor's names
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor | None,
        multimask_output: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        prompts, mask = sparse_prompt_embeddings.numpy(), dense_prompt_embeddings
        masks, ious = self._session.run(
            {
                "image_embeddings": image_embeddings.numpy(),
                "point_coords": np.ascontiguousarray(prompts[..., :2]),
                "point_labels": np.ascontiguousarray(prompts[..., 2]),
                "mask_input": np.zeros((1, 1, LOW_SIDE_PX, LOW_SIDE_PX), np.float32) if mask is None else mask.numpy(),
                "has_mask_input": np.array([mask is not None], np.float32),
                "orig_im_size": np.full(
                    2, SIDE_PX, np.float32
                ),  # read for the picked mask alone, which nobody asks for
            }
        )
        # As in SAM's own decoder: the first is the one for unambiguous prompts, the others part, subpart and whole.
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return torch.from_numpy(masks[:, chosen]), torch.from_numpy(ious[:, chosen])


def onnx_sam(encoder: Encoder, decoder: Decoder) -> Sam:
    """Give a model that SamPredictor takes, with both halves run by ONNX sessions. SAM's own pre-processing stays in use."""
    return Sam(_OnnxImageEncoder(encoder), _PromptCollector(), _OnnxMaskDecoder(decoder)).eval()


@dataclass(frozen=True, slots=True)
class Embedding:
    """
    What SAM knows of one photo.

    Attributes:
        features: (1, 256, 64, 64) float32.
        shape_hw: of the photo as it was shown, in pixels.
        input_shape_hw: of the photo inside the encoder's square, in pixels.
    """

    features: Floats
    shape_hw: tuple[int, int]
    input_shape_hw: tuple[int, int]


class SamNetwork:
    """Finds what is pointed at. Holds no state between calls; many threads may use it at once."""

    device = "cpu"

    def __init__(self, model: Sam, *, threads: int) -> None:
        """
        Args:
            model: `onnx_sam`, or an official checkpoint's.
            threads: CPU threads of torch itself, for the whole process.
        """
        torch.set_num_threads(threads)
        self._model = model

    def embed(self, image: RgbImage) -> Embedding:
        """
        Look at a photo: the slow half, once for any number of prompts.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8 with at least one pixel.
        """
        height, width = require_rgb(image).shape[:2]
        scale = min(1.0, SIDE_PX / max(height, width))
        if scale < 1:  # the predictor would shrink it as well, but slowly
            image = shrink_or_grow(image, (max(1, round(width * scale)), max(1, round(height * scale))))
        predictor = SamPredictor(self._model)
        predictor.set_image(np.ascontiguousarray(image))
        shape_hw = (image.shape[0], image.shape[1])
        return Embedding(predictor.get_image_embedding().numpy(), shape_hw, predictor.input_size)

    def segment(
        self, embedding: Embedding, *, points_xy: Floats, labels: Floats, box_xyxy: Floats | None, is_ambiguous: bool
    ) -> tuple[Floats, Floats]:
        """
        Find the object that is meant.

        Args:
            embedding: the photo's.
            points_xy: (N, 2) float32, in pixels of `embedding.shape_hw`; may be empty.
            labels: (N,) float32: 1 keep, 0 drop.
            box_xyxy: (4,) float32, in the same pixels.
            is_ambiguous: give three masks (part, subpart, whole) instead of one.

        Returns:
            (C, H, W) float32 logits at `embedding.shape_hw`, more than 0 inside; and (C,) float32 predicted IoU, about 0..1.
        """
        predictor = SamPredictor(self._model)  # a few attributes; a shared one would mix the threads' photos
        predictor.features = torch.from_numpy(embedding.features)
        predictor.original_size, predictor.input_size = embedding.shape_hw, embedding.input_shape_hw
        predictor.is_image_set = True
        logits, ious, _ = predictor.predict(
            point_coords=points_xy if len(points_xy) else None,
            point_labels=labels if len(points_xy) else None,
            box=box_xyxy,
            multimask_output=is_ambiguous,
            return_logits=True,
        )
        return logits, ious
