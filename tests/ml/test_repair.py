"""The repairing network: what it is taught with, and that its maps mean in numpy what they mean in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml.errors import ShapeError
from ml.watermark.repair_network import RepairMaps
from ml.watermark.repairing import Mirrored, changed_by, repaired, within_reach
from ml.watermark.unblending import is_tinted
from tests.ml.marked import blend, photo, repairer, strokes

torch = pytest.importorskip("torch", reason="pip install -r requirements.txt")

from ml.training.watermark import repair, repair_views  # noqa: E402


def maps_of(shape: np.ndarray, *, opacity: float, trust: float) -> RepairMaps:
    """White ink of that opacity; painted grey."""
    height, width = shape.shape
    blend_maps = np.dstack([np.ones((height, width, 3)), opacity * shape]).astype(np.float32)
    return RepairMaps(
        blend_maps, np.dstack([np.full((height, width, 3), 0.5), np.full(shape.shape, trust)]).astype(np.float32)
    )


def test_true_maps_give_the_photo_back() -> None:
    clean, shape = photo(1), strokes()
    marked = blend(clean, shape, opacity=0.5, colour=(255, 255, 255))

    restored = repaired(marked, maps_of(shape, opacity=0.5, trust=1.0))

    assert np.abs(restored.astype(int) - clean).max() <= 1


def test_untrusted_pixels_are_painted() -> None:
    assert (repaired(photo(2), maps_of(strokes(), opacity=0.5, trust=0.0)) == 128).all()


def test_numpy_and_torch_repair_alike() -> None:
    rng = np.random.default_rng(3)
    image = photo(3, height=64, width=64)
    maps = rng.random((64, 64, 8)).astype(np.float32)
    ours = repaired(image, RepairMaps(np.dstack([maps[..., 1:4], maps[..., 0]]), maps[..., 4:]))

    seen = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    theirs = repair.repaired(seen, torch.from_numpy(maps).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()

    assert np.abs(ours - np.clip(255 * theirs, 0, 255)).max() <= 0.51


def test_nothing_changes_beyond_the_masks_reach() -> None:
    shape = strokes()
    marked = blend(photo(4), shape, opacity=0.5, colour=(255, 255, 255))

    change = changed_by(marked, shape, repairer().maps(marked, shape))

    assert change.any()
    assert not (change & ~within_reach(shape)).any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 33), (64, 48)])
def test_maps_have_the_pictures_size(height: int, width: int) -> None:
    image = np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)

    maps = repairer().maps(image, np.ones((height, width), np.float32))

    assert maps.blend.shape == maps.paint.shape == (height, width, 4)
    assert 0 <= min(maps.blend.min(), maps.paint.min()) <= max(maps.blend.max(), maps.paint.max()) <= 1


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="mask"):
        repairer().maps(photo(6), np.ones((3, 3), np.float32))


def test_an_untrained_network_says_the_same_everywhere() -> None:
    maps = repair.RepairNetwork().eval()(torch.zeros(1, 3, 32, 48), torch.zeros(1, 1, 32, 48))

    assert maps.shape == (1, 8, 32, 48)
    assert maps[:, 7].unique().tolist() == [0.5]


def views(count: int = 8, first: int = 3, side: int = 96) -> dict[str, Any]:
    """Grey photos, of which the first are unmarked, the others marked with one square."""
    shape = torch.zeros(count, 1, side, side)
    shape[first:, :, 40:60, 40:60] = 1
    clean = torch.rand(count, 3, side, side)
    return {
        "photo": clean * (1 - 0.5 * shape) + 0.5 * shape,
        "clean": clean,
        "shape": shape,
        "alpha": 0.5 * shape,
        "seen": 0.8 * shape,
        "marked": torch.arange(count) >= first,
    }


def test_every_marked_view_is_repaired_and_some_things_are_painted_over() -> None:
    torch.manual_seed(7)

    given = repair_views.draw_repairs(**views())

    assert given.photo.shape == (6, 3, 96, 96)
    assert given.has_alpha.tolist() == [0, 1, 1, 1, 1, 1]
    assert given.mask[0].any()
    assert ((given.photo[0] != given.clean[0]).any(0) <= (given.mask[0, 0] > 0)).all()
    assert (given.region[given.mask > repair_views.REACH_FROM] == 1).all()
    assert given.region.mean() < 0.6


def test_a_true_repair_costs_less_than_none() -> None:
    torch.manual_seed(8)
    given = repair_views.draw_repairs(**views())
    white = torch.ones_like(given.clean)
    none = torch.cat([0 * given.alpha, white, given.photo, torch.ones_like(given.alpha)], 1)
    true = torch.cat([given.alpha, white, given.clean, 0 * given.alpha], 1)

    assert repair_views.repair_loss(true, given) < repair_views.repair_loss(none, given) - 1


def test_a_step_of_training_lowers_the_loss_of_the_same_views() -> None:
    torch.manual_seed(9)
    network = repair.RepairNetwork().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    given = repair_views.draw_repairs(**views())
    losses = []
    for _ in range(12):
        loss = repair_views.repair_loss(network(2 * given.photo - 1, given.mask), given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0] - 0.1


class Echo:
    """Says of each pixel what its own colour is, a quarter more at the picture's left: a repairer that is not symmetrical."""

    def __init__(self) -> None:
        self.asked = 0

    def maps(self, image: np.ndarray, mask: np.ndarray) -> RepairMaps:
        self.asked += 1
        blend = np.dstack([image.astype(np.float32) / 255, mask])
        blend[:, : blend.shape[1] // 2] += 0.25
        return RepairMaps(blend, blend.copy())


@pytest.mark.parametrize(("looks", "more"), [(1, (0.25, 0)), (2, (0.125, 0.125)), (4, (0.125, 0.125))])
def test_mirrored_looks_are_turned_back_and_averaged(looks: int, more: tuple[float, float]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (10, 12, 3)).astype(np.uint8)
    mask = np.random.default_rng(2).random((10, 12)).astype(np.float32)
    echo = Echo()

    maps = Mirrored(echo, looks).maps(image, mask)

    assert echo.asked == looks
    added = maps.blend - np.dstack([image.astype(np.float32) / 255, mask])
    assert np.allclose(added[:, :6], more[0], atol=1e-5)
    assert np.allclose(added[:, 6:], more[1], atol=1e-5)
    assert np.array_equal(maps.blend, maps.paint)


def test_a_faint_mark_goes_on_like_what_is_beside_it_and_a_thing_does_not() -> None:
    shape = strokes()
    clean, other = photo(7), photo(8)
    marked = blend(clean, shape, opacity=0.25, colour=(255, 255, 255))
    covered = np.where(shape[..., None] > 0.5, other, clean)

    assert is_tinted(marked.astype(np.float32), shape)
    assert not is_tinted(covered.astype(np.float32), shape)
    assert not is_tinted(clean.astype(np.float32), shape), "nothing is there"
