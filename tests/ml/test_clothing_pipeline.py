"""From shares to cut-outs of garments, with a network that reads them off the photo's colours: no weights needed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.clothing.garments import GARMENTS
from ml.clothing.network import BODY, CHANNELS, NOTHING, Shares, View, look
from ml.clothing.pipeline import ClothingPipeline
from ml.errors import ShapeError
from ml.picture.types import RgbImage
from tests import garments

COLOURS = {name: garments.COLOURS[name] for name in ("tops", "coat", "skirt", "shoes", "dress")}
SKIN = (230, 180, 150)
WALL = (127, 127, 127)


class ByColour:
    """Stands in for the network: every garment has a colour of its own."""

    device = "cpu"

    def __init__(self, *, doubt: float = 0.0, wavers: bool = False) -> None:
        self.doubt, self.wavers = doubt, wavers

    def glance(self, image: RgbImage, view: View) -> Shares:
        seen = look(image, view).astype(int)[::2, ::2]
        known = {**COLOURS, "body": SKIN, "nothing": WALL}
        channel_of = [*(GARMENTS.index(name) for name in COLOURS), BODY, NOTHING]
        nearest = np.stack([np.abs(seen - colour).sum(2) for colour in known.values()]).argmin(0)
        shares = np.full((CHANNELS, *seen.shape[:2]), 0.001, np.float32)
        for number, channel in enumerate(channel_of):
            shares[channel] += nearest == number
        shares[GARMENTS.index("coat")] += self.doubt * shares[GARMENTS.index("tops")]
        if self.wavers:
            shares[NOTHING] += 0.8
        return shares / shares.sum(0)

    predict = glance


def person(size_wh: tuple[int, int] = (300, 400)) -> RgbImage:
    """A head, a red top, a green skirt, black shoes, before a wall."""
    photo = np.full((400, 300, 3), WALL, np.uint8)
    photo[60:100, 130:170] = SKIN
    photo[100:200, 100:200] = COLOURS["tops"]
    photo[200:300, 90:210] = COLOURS["skirt"]
    photo[300:350, 120:180] = SKIN
    photo[350:370, 110:190] = COLOURS["shoes"]
    return cv2.resize(photo, size_wh, interpolation=cv2.INTER_NEAREST)


def pipeline(network: ByColour | None = None) -> ClothingPipeline:
    return ClothingPipeline(network or ByColour(), model_name="by-colour", model_version="1")


@pytest.mark.parametrize("size_wh", [(300, 400), (1500, 2000), (60, 80)])
def test_each_garment_is_cut_out_where_it_is(size_wh: tuple[int, int]) -> None:
    photo = person(size_wh)

    garments = pipeline().run(photo).garments

    assert list(garments) == ["tops", "skirt", "shoes"]
    for name, garment in garments.items():
        truth = np.abs(photo.astype(int) - COLOURS[name]).max(2) < 24
        found = garment.alpha >= 128
        assert np.count_nonzero(truth & found) / np.count_nonzero(truth | found) > 0.85
        assert garment.area_ratio == pytest.approx(truth.mean(), rel=0.15)
        assert garment.confidence > 0.8


def test_garments_meet_without_gap_and_without_overlap() -> None:
    garments = pipeline().run(person()).garments

    total = np.sum([garment.alpha for garment in garments.values()], axis=0, dtype=int)
    assert total.max() <= 255
    assert (total[150:250, 110:190] == 255).all()


def test_dress_counts_as_a_skirt_unless_asked_for_apart() -> None:
    photo = np.full((400, 300, 3), WALL, np.uint8)
    photo[100:300, 100:200] = COLOURS["dress"]

    assert list(pipeline().run(photo).garments) == ["skirt"]
    assert list(pipeline().run(photo, separate_dress=True).garments) == ["dress"]


def test_one_garment_takes_one_class() -> None:
    photo = person()
    half_a_coat = ByColour(doubt=0.7)

    garments = pipeline(half_a_coat).run(photo).garments

    assert "coat" not in garments
    assert garments["tops"].alpha[105:195, 105:195].min() == 255


def test_garment_that_nobody_wears_is_one() -> None:
    photo = np.full((400, 300, 3), WALL, np.uint8)
    photo[100:300, 100:200] = COLOURS["tops"]
    photo[230:300, 100:200] = COLOURS["shoes"]

    assert list(pipeline().run(photo).garments) == ["tops"]


def test_photo_without_garments_gives_none() -> None:
    assert pipeline().run(np.full((50, 80, 3), WALL, np.uint8)).garments == {}
    assert pipeline().run(np.full((50, 80, 3), SKIN, np.uint8)).garments == {}


def test_garments_are_never_more_opaque_than_the_photo_was() -> None:
    opacity = np.full((400, 300), 255, np.uint8)
    opacity[:, :150] = 0

    garments = pipeline().run(person(), opacity=opacity).garments

    assert garments["skirt"].alpha[:, :150].max() == 0
    assert garments["skirt"].alpha[220:280, 160:200].min() == 255


def test_background_networks_word_counts_where_the_clothing_network_wavers() -> None:
    photo = np.full((400, 300, 3), WALL, np.uint8)
    photo[60:100, 130:170] = SKIN
    photo[100:300, 50:250] = COLOURS["tops"]
    right_half = np.zeros((320, 320), np.float32)
    right_half[:, 160:] = 1
    wavering = ByColour(wavers=True)

    def cut(matte: np.ndarray | None) -> np.ndarray:
        saliency = None if matte is None else lambda _: matte
        made = ClothingPipeline(wavering, saliency=saliency, model_name="by-colour", model_version="1")
        return made.run(photo).garments["tops"].alpha

    alone, helped = cut(None), cut(right_half)
    assert abs(int(alone[200, 100]) - int(alone[200, 200])) < 10
    assert helped[200, 100] < alone[200, 100] < helped[200, 200]


def test_two_people_are_both_found() -> None:
    photo = np.hstack([person(), person()])

    garments = pipeline().run(photo).garments

    assert garments["tops"].alpha[150, 150] == 255
    assert garments["tops"].alpha[150, 450] == 255


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ShapeError):
        pipeline().run(np.zeros((5, 5), np.uint8))
    with pytest.raises(ShapeError):
        pipeline().run(np.zeros((5, 5, 3), np.uint8), opacity=np.zeros((4, 5), np.uint8))
