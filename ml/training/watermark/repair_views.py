"""
What the repairing network is taught with: masks of every kind that the service has, and things to be painted over; and the
loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ml.training.watermark.repair import repaired
from ml.watermark.repairing import REACH_FROM, REACH_PX

SEEN_SHARE, SOFT_SHARE, PRECISE_SHARE = 0.45, 0.15, 0.2
"""Masks as the first network sees them, as the truth has them, and as a precise smear does; the others are rough smears."""

PRECISE_FROM = 0.3
ROUGH_PX = 1, 9
"""By how many pixels a rough smear goes beyond the strokes."""

OBJECTS_OF_UNMARKED = 3
"""Every third unmarked view gets a thing to be painted over."""


@dataclass(frozen=True, slots=True)
class Repair:
    """
    Attributes:
        photo, clean: (N, 3, H, W) float32, 0..1.
        mask, alpha: (N, 1, H, W) float32, 0..1.
        region: (N, 1, H, W) float32, 0 or 1: what may be changed.
        has_alpha: (N,) float32: 1 where `alpha` is the truth, 0 where a thing hides the photo.
    """

    photo: Tensor
    clean: Tensor
    mask: Tensor
    alpha: Tensor
    region: Tensor
    has_alpha: Tensor


def draw_repairs(*, photo: Tensor, clean: Tensor, shape: Tensor, alpha: Tensor, seen: Tensor, marked: Tensor) -> Repair:
    """
    Args:
        photo, clean: (N, 3, H, W) float32, 0..1.
        shape, alpha, seen: (N, 1, H, W) float32, 0..1; `seen` is what the first network makes of the photos.
        marked: (N,) bool; the unmarked come first.
    """
    first = int((~marked).sum())
    truth = shape[first:]
    chance = torch.rand(len(truth), 1, 1, 1, device=photo.device)
    side = 2 * int(torch.randint(ROUGH_PX[0], ROUGH_PX[1] + 1, ())) + 1
    precise = (truth > PRECISE_FROM).float()
    rough = functional.max_pool2d(precise, side, 1, side // 2)
    as_seen = seen[first:] ** (0.5 + torch.rand_like(chance))
    as_seen = as_seen * (as_seen > 0.3 * torch.rand_like(chance))
    mask = torch.where(chance < SEEN_SHARE + SOFT_SHARE + PRECISE_SHARE, precise, rough)
    mask = torch.where(chance < SEEN_SHARE + SOFT_SHARE, truth, mask)
    mask = torch.where(chance < SEEN_SHARE, as_seen, mask)

    things = min(max(1, first // OBJECTS_OF_UNMARKED), len(truth)) if first else 0
    over = functional.max_pool2d((shape[first : first + things] > 0.5).float(), side, 1, side // 2)
    over = over.roll((int(torch.randint(64, ())), int(torch.randint(64, ()))), (2, 3))
    content = clean[first : first + things].roll(1, 0).flip(3)
    hidden = clean[:things] * (1 - over) + content * over

    masks = torch.cat([over, mask])
    region = functional.max_pool2d((masks > REACH_FROM).float(), 2 * REACH_PX + 1, 1, REACH_PX)
    return Repair(
        torch.cat([hidden, photo[first:]]),
        torch.cat([clean[:things], clean[first:]]),
        masks,
        torch.cat([over, alpha[first:]]),
        region,
        torch.cat([torch.zeros(things, device=photo.device), torch.ones(len(truth), device=photo.device)]),
    )


FEWEST_PX, LEAST_ERROR = 30, 2e-5
"""Views with fewer pixels to repair teach nothing; errors squared, of 1, below which it is as good as JPEG allows."""


def repair_loss(maps: Tensor, given: Repair) -> Tensor:
    """PSNR where something may be changed, as a loss; the mean error there; and the opacity's error."""
    region = given.region
    count = region.sum((1, 2, 3))
    counts = (count >= FEWEST_PX).float()
    off = (repaired(given.photo, maps) - given.clean) * region
    squared = (off**2).sum((1, 2, 3)) / (3 * count + 1)
    psnr = torch.log(squared + LEAST_ERROR)
    plain = off.abs().sum((1, 2, 3)) / (3 * count + 1)
    alpha = ((maps[:, :1] - given.alpha).abs() * region).sum((1, 2, 3)) / (count + 1)
    each = 0.2 * psnr + 4 * plain + given.has_alpha * alpha
    return (each * counts).sum() / counts.sum().clamp(min=1)
