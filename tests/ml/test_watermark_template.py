"""A customer's own mark: given as a PNG or by photos, kept as bytes, found again and taken off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import TemplateError
from ml.watermark.finder import Sight
from ml.watermark.repair_network import RepairMaps
from ml.watermark.template import learning as mark_learning
from ml.watermark.template.mark import MarkTemplate, template_from_photos, template_from_png
from ml.watermark.template.search import place_template
from tests.ml.marked import blend, error, photo, pipeline, strokes


def _png(colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    mark = strokes(height=80, width=260, at=(10, 55))
    return np.dstack([np.broadcast_to(np.array(colour, np.uint8), (*mark.shape, 3)), (mark * 255).astype(np.uint8)])


def _stamped(
    clean: np.ndarray, png: np.ndarray, *, left: int, top: int, opacity: float
) -> tuple[np.ndarray, np.ndarray]:
    shape = np.zeros(clean.shape[:2], np.float32)
    shape[top : top + png.shape[0], left : left + png.shape[1]] = png[..., 3].astype(np.float32) / 255
    return blend(clean, shape, opacity=opacity, colour=tuple(png[0, 0, :3])), shape


@pytest.mark.parametrize("opacity", [1.0, 0.5])
@pytest.mark.parametrize("place", [(20, 30), (37, 131)])
def test_the_mark_of_a_png_is_found_and_taken_off(opacity: float, place: tuple[int, int]) -> None:
    template = template_from_png(_png())
    clean = photo(20)
    marked, shape = _stamped(clean, _png(), left=place[0], top=place[1], opacity=opacity)

    removal = pipeline().run(marked, template=template)

    assert removal.detected
    assert error(removal.image, clean, shape) < 0.3 * error(marked, clean, shape)
    assert np.array_equal(removal.image[removal.mask == 0], marked[removal.mask == 0])


def test_a_photo_without_the_mark_stays_what_it_is() -> None:
    image = photo(21)

    removal = pipeline().run(image, template=template_from_png(_png()))

    assert not removal.detected
    assert np.array_equal(removal.image, image)


def test_a_template_survives_its_bytes() -> None:
    template = template_from_png(_png((10, 200, 30)))

    again = MarkTemplate.from_bytes(template.to_bytes())

    assert np.abs(again.alpha - template.alpha).max() < 1e-3
    assert np.abs(again.ink - template.ink).max() < 0.2
    assert again.place_xywh is None


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(40)])
def test_bytes_of_something_else_are_refused(content: bytes) -> None:
    with pytest.raises(TemplateError):
        MarkTemplate.from_bytes(content)


def test_a_png_without_transparency_is_refused() -> None:
    with pytest.raises(TemplateError, match="transparent"):
        template_from_png(np.full((40, 40, 4), 255, np.uint8))


def test_an_empty_png_is_refused() -> None:
    with pytest.raises(TemplateError, match="empty"):
        template_from_png(np.zeros((40, 40, 4), np.uint8))


def test_a_mark_is_learned_from_five_photos() -> None:
    shape = strokes()
    cleans = [photo(seed) for seed in range(30, 35)]
    marked = [blend(clean, shape, opacity=0.45, colour=(255, 255, 255)) for clean in cleans]

    template = MarkTemplate.from_bytes(template_from_photos(marked).to_bytes())
    removal = pipeline().run(marked[2], template=template)

    assert error(removal.image, cleans[2], shape) < 0.3 * error(marked[2], cleans[2], shape)


def test_a_learned_mark_is_not_taken_off_where_it_is_not() -> None:
    shape = strokes()
    template = template_from_photos(
        [blend(photo(seed), shape, opacity=0.45, colour=(255, 255, 255)) for seed in range(30, 35)]
    )
    clean = photo(36)

    removal = pipeline().run(clean, template=template)

    assert not removal.detected
    assert np.array_equal(removal.image, clean)


@pytest.mark.parametrize("count", [0, 2, 11])
def test_too_few_and_too_many_photos_are_refused(count: int) -> None:
    with pytest.raises(TemplateError, match="3 to 10"):
        template_from_photos([photo(seed) for seed in range(count)])


def test_photos_of_several_sizes_are_refused() -> None:
    with pytest.raises(TemplateError, match="sizes"):
        template_from_photos([photo(1), photo(2), photo(3, height=241)])


def test_the_same_photo_thrice_is_refused() -> None:
    with pytest.raises(TemplateError, match="same"):
        template_from_photos([photo(1), photo(1), photo(1)])


def test_photos_that_share_nothing_are_refused() -> None:
    with pytest.raises(TemplateError, match="share no"):
        template_from_photos([photo(seed) for seed in range(60, 64)])


def _sight(shape: np.ndarray, gate: float) -> Sight:
    return Sight(shape.astype(np.float32), np.zeros_like(shape), np.full_like(shape, gate))


def test_what_is_seen_in_all_photos_is_where_learning_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where strokes are seen, gradients aren't asked."""
    monkeypatch.setattr(mark_learning, "common_strokes", lambda _: np.zeros((240, 320), np.float32))
    shape = strokes()
    cleans = [photo(seed) for seed in range(30, 35)]
    marked = [blend(clean, shape, opacity=0.45, colour=(255, 255, 255)) for clean in cleans]

    template = template_from_photos(marked, look=lambda _: _sight(0.6 * shape[::2, ::2], 0.9))

    removal = pipeline().run(marked[2], template=template)
    assert error(removal.image, cleans[2], shape) < 0.3 * error(marked[2], cleans[2], shape)


def test_where_nobody_sees_a_mark_none_is_learned() -> None:
    shape = strokes()
    marked = [blend(photo(seed), shape, opacity=0.45, colour=(255, 255, 255)) for seed in range(30, 35)]

    with pytest.raises(TemplateError, match="share no"):
        template_from_photos(marked, look=lambda _: _sight(np.zeros_like(shape), 0.1))


def test_the_repairing_network_is_asked_about_a_learned_mark_alone() -> None:
    mark = _png()
    spoilt, _ = _stamped(photo(20), mark, left=20, top=30, opacity=1.0)
    asked = Greys()

    given = place_template(spoilt, template_from_png(mark), repairer=asked)
    height, width = spoilt.shape[:2]
    place = replace(template_from_png(mark), place_xywh=(given[0].left, given[0].top, width, height))
    learned = place_template(spoilt, place, repairer=asked)

    out = spoilt.copy()
    given[0].carry_out(spoilt, out, np.zeros(spoilt.shape[:2], np.uint8))
    assert asked.masks == []
    learned[0].carry_out(spoilt, spoilt.copy(), np.zeros(spoilt.shape[:2], np.uint8))
    assert len(asked.masks) == 1


class Greys:
    """A repairer that takes everything for grey."""

    def __init__(self) -> None:
        self.masks: list[np.ndarray] = []

    def maps(self, image: np.ndarray, mask: np.ndarray) -> RepairMaps:
        self.masks.append(mask)
        half = np.full((*mask.shape, 4), 0.5, np.float32)
        return RepairMaps(half, half)
