"""remove.bg's form in the worker: the same networks as `/v1/remove-bg`, then the picture that its parameters describe."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.background.removebg import MEGAPIXELS, MOST_PNG_MEGAPIXELS, region_px, x_type
from apps.background.removebg_fields import Length
from apps.core.errors import Fault, invalid
from apps.core.outcome import Outcome
from apps.core.pictures.colour import rgb_to_srgb
from apps.core.pictures.decoding import Photo
from apps.core.pictures.imprint import Imprint
from apps.core.work.engine import Engine, Runner
from apps.core.work.execution import File, Work
from apps.core.work.loading import load
from ml.background.pipeline import Subject
from ml.picture import arrange, compositing, shadows
from ml.picture.foreground import estimate_foreground
from ml.picture.subject import FoundSubject
from ml.picture.types import AlphaChannel, BoxXywh, RgbaImage, RgbImage

WIDE_RATIO = 1.6
"""Without a type, what is this much wider than high stands on the ground: cars, sofas, shoes, four-legged animals."""

_WHITE = np.full((1, 1, 4), 255, np.uint8)
_STANDING_TYPES = frozenset({"person", "animal", "car", "transportation"})
_LYING_TYPES = frozenset({"product", "graphic", "graphics", "car_part", "car_interior"})


class RemoveBgRunner(Runner):
    """Its networks are those of the BackgroundRunner."""

    def __init__(self, engine: Engine) -> None:
        self._background = load(engine.models, engine.models.background)
        self.loaded = (self._background,)

    def run(self, work: Work) -> Outcome:
        """Do the job. Raises AppError(VALIDATION_ERROR) when a file can't be decoded, or nothing is found."""
        photo = work.photo()
        background = _read_background(work)
        with work.stage("infer", progress=0.2):
            result = self._find(photo, work.params)
        if result.bbox_xywh is None:
            raise invalid(
                work.operation.image_fields.file, "No foreground was found in the image.", Fault.NO_FOREGROUND
            )
        with work.stage("compose", progress=0.6):
            scene = _arrange(photo, result, result.bbox_xywh, background, work.params)
        with work.stage("encode", progress=0.8):
            file = _encode(work, scene)
        work.store("image", file)
        subject = {
            "bbox": list(scene.box_xywh),
            "areaRatio": result.area_ratio,
            "confidence": round(result.confidence, 3),
        }
        return work.outcome(
            self._background, facts={"subject": subject, "type": x_type(work.params)}, box_xywh=scene.box_xywh
        )

    def _find(self, photo: Photo, params: Mapping[str, Any]) -> FoundSubject:
        """Look at the region of interest alone: what lies outside is background, whatever it is."""
        subject: Subject = params["subject"]
        roi: list[Length] | None = params.get("roi")
        if roi is None:
            return self._background.needed().run(photo.to_srgb(), subject=subject, opacity=photo.opacity)
        height, width = photo.rgb.shape[:2]
        left, top, right, bottom = region_px(roi, (width, height))
        inside = slice(top, bottom), slice(left, right)
        opacity = None if photo.opacity is None else photo.opacity[inside]
        seen = rgb_to_srgb(photo.rgb[inside], photo.icc_profile)
        result = self._background.needed().run(seen, subject=subject, opacity=opacity)
        alpha = np.zeros((height, width), np.uint8)
        alpha[inside] = result.alpha
        box = result.bbox_xywh
        return replace(result, alpha=alpha, bbox_xywh=None if box is None else (box[0] + left, box[1] + top, *box[2:]))


@dataclass(frozen=True, slots=True)
class _Scene:
    """
    Attributes:
        picture: (H, W) for a mask, else (H, W, 4).
        box_xywh: the subject's box in it.
        icc_profile: of its colours; None for sRGB and masks.
        imprint: what belongs to it of the photo's metadata.
        is_cut_out: nothing lies behind the subject, so even one that fills the picture keeps its alpha channel.
    """

    picture: NDArray[np.uint8]
    box_xywh: BoxXywh
    icc_profile: bytes | None
    imprint: Imprint
    is_cut_out: bool = False


class _Background:
    """What lies behind the subject, in sRGB."""

    def __init__(self, colour_rgba: Sequence[int] | None, photo: Photo | None) -> None:
        self._colour, self._photo = colour_rgba, photo

    @property
    def exists(self) -> bool:
        return self._colour is not None or self._photo is not None

    @property
    def is_opaque(self) -> bool:
        """Nothing shines through."""
        if self._colour is not None:
            return self._colour[3] == 255
        return self._photo is not None and (self._photo.opacity is None or bool(self._photo.opacity.min() == 255))

    def fill(self, size_wh: tuple[int, int]) -> RgbaImage | None:
        """The background at the canvas's size, one colour as (1, 1, 4), or None."""
        if self._colour is not None:
            return np.array(self._colour, np.uint8).reshape(1, 1, 4)
        if self._photo is None:
            return None
        rgb = rgb_to_srgb(arrange.cover(self._photo.rgb, size_wh), self._photo.icc_profile)
        opacity = self._photo.opacity
        alpha = np.full(rgb.shape[:2], 255, np.uint8) if opacity is None else arrange.cover(opacity, size_wh)
        return np.dstack([rgb, alpha])


def _read_background(work: Work) -> _Background:
    if not work.params["has_bg_image"]:
        return _Background(work.params.get("bg_color"), None)
    return _Background(None, work.photo(work.operation.more_images[0].name))


def _arrange(
    photo: Photo, result: FoundSubject, box: BoxXywh, background: _Background, params: Mapping[str, Any]
) -> _Scene:
    """Lay the subject out on its canvas and put everything around it."""
    height, width = result.alpha.shape
    shadow = _shadow_kind(params, box, height)
    layout = arrange.lay_out(
        (width, height),
        box,
        max_pixels=_max_pixels(params, background),
        crop=_crop_margins(params, box, shadow),
        share=params["scale"],
        position_xy=None if params["position"] is None else tuple(params["position"]),
    )
    alpha = arrange.place(result.alpha, layout)
    if not params["semitransparency"]:
        alpha = arrange.harden(alpha)
    box = compositing.bounding_box(alpha) or (0, 0, *layout.size_wh)
    if _is_mask(params):
        return _Scene(alpha, box, None, photo.imprint)
    has_ground = background.exists or params["format"] == "jpg"
    photo = photo.in_srgb() if has_ground else photo.over(None)
    foreground = _foreground(photo, result, layout, alpha)
    ground = background.fill(layout.size_wh)
    picture = arrange.compose(
        foreground,
        alpha,
        shadow=_draw_shadow(shadow, alpha, box, opacity=params["shadow_opacity"] / 100),
        background=_on_white(ground) if params["format"] == "jpg" else ground,
    )
    return _Scene(picture, box, photo.icc_profile, photo.imprint, is_cut_out=not has_ground)


def _foreground(photo: Photo, result: FoundSubject, layout: arrange.Layout, alpha: AlphaChannel) -> RgbImage:
    """The subject's own colours on the canvas. Of what came cut out they are there, but for what scaling mixes into them."""
    if not result.is_as_given:
        return estimate_foreground(arrange.place(photo.rgb, layout), alpha)
    return arrange.place(arrange.spread_colours(compositing.cut_out(photo.rgb, result.alpha)), layout)


def _max_pixels(params: Mapping[str, Any], background: _Background) -> int:
    is_png = params["format"] == "png" or (
        params["format"] == "auto" and (_is_mask(params) or not background.is_opaque)
    )
    most = MEGAPIXELS[params["size"]]
    return round(1_000_000 * (min(most, MOST_PNG_MEGAPIXELS) if is_png else most))


def _is_mask(params: Mapping[str, Any]) -> bool:
    """One channel alone; a ZIP holds it anyway."""
    return bool(params["channels"] == "alpha" and params["format"] != "zip")


def _crop_margins(params: Mapping[str, Any], box: BoxXywh, shadow: str) -> arrange.Margins | None:
    """The margins asked for, and at least what the shadow needs: it is no empty region."""
    if not params["crop"]:
        return None
    _, _, width, height = box
    sides = (height, width, height, width)
    margins = arrange.Margins(
        *(
            float(round(value if unit == "px" else value / 100 * side))
            for (value, unit), side in zip(params["crop_margin"], sides, strict=True)
        )
    )
    if shadow == "none" or _is_mask(params):
        return margins
    room = shadows.room_for_drop(box) if shadow == "drop" else shadows.room_for_ground(box)
    return margins.at_least(room)


def _shadow_kind(params: Mapping[str, Any], box: BoxXywh, photo_height: int) -> str:
    """`none`, `drop` or `ground`. What the photo's lower edge cuts off doesn't stand on anything that is to be seen."""
    kind: str = params["shadow_type"]
    if kind in {"none", "drop"}:
        return kind
    _, top, width, height = box
    is_cut_off = top + height >= photo_height - 1
    stands = params["type"] in _STANDING_TYPES or (params["type"] not in _LYING_TYPES and width > WIDE_RATIO * height)
    return "ground" if kind in {"car", "3D"} or (stands and not is_cut_off) else "drop"


def _draw_shadow(kind: str, alpha: AlphaChannel, box: BoxXywh, *, opacity: float) -> AlphaChannel | None:
    if kind == "none":
        return None
    draw = shadows.drop_shadow if kind == "drop" else shadows.ground_shadow
    return draw(alpha, box, opacity=opacity)


def _on_white(background: RgbaImage | None) -> RgbaImage:
    """The background as a file without transparency shows it."""
    if background is None:
        return _WHITE
    flat = compositing.over_colour(
        np.ascontiguousarray(background[..., :3]), np.ascontiguousarray(background[..., 3]), (255, 255, 255)
    )
    return np.dstack([flat, np.full(flat.shape[:2], 255, np.uint8)])


def _encode(work: Work, scene: _Scene) -> File:
    """The picture as the kind of file that was asked for: `auto` is png where something is transparent, and for masks."""
    picture, wanted = scene.picture, work.params["format"]
    if picture.ndim == 2:
        return work.encode(picture, format=wanted if wanted in {"jpg", "webp"} else "png", imprint=scene.imprint)
    is_opaque = bool(picture[..., 3].min() == 255)
    kind = wanted if wanted != "auto" else "jpg" if is_opaque else "png"
    rgb = picture[..., :3]  # the encoders copy it where they must
    if kind == "jpg":
        return work.encode(rgb, format=kind, icc_profile=scene.icc_profile, imprint=scene.imprint)
    if kind == "zip":
        spread = rgb if is_opaque else arrange.spread_colours(picture)
        colour = work.encode(spread, format="jpg", icc_profile=scene.icc_profile, imprint=scene.imprint)
        alpha = work.encode(np.ascontiguousarray(picture[..., 3]), format="png", imprint=scene.imprint)
        return File(_zip({"color.jpg": colour.data, "alpha.png": alpha.data}), "zip", colour.size_wh)
    shown = np.ascontiguousarray(rgb) if is_opaque and not scene.is_cut_out else picture
    return work.encode(shown, format=kind, icc_profile=scene.icc_profile, imprint=scene.imprint)


def _zip(files: Mapping[str, bytes]) -> bytes:
    """Stored, not deflated: the files are compressed already."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return out.getvalue()
