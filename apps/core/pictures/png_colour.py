"""
What a PNG says of its colours, as an ICC profile: cICP, iCCP, sRGB, and gAMA with cHRM, the strongest that makes sense
(PNG, third edition, 4.3). A statement that is damaged, contradicts itself or names what nobody knows counts as absent.

High dynamic range (PQ and HLG, ITU-R BT.2100) is shown as a plain screen shows it: reference white (BT.2408: 203 cd/m2,
75 % of HLG) is white and what is brighter is white too. HLG's system gamma of 1.2 is applied to each channel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apps.core.pictures.colour import usable_profile

Floats: TypeAlias = NDArray[np.float64]
Primaries: TypeAlias = tuple[float, float, float, float, float, float, float, float]
"""x and y of red, green, blue and white."""

COLOUR_CHUNKS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_BT709: Primaries = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65)
_BT601: Primaries = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)
_PRIMARIES: dict[int, Primaries] = {
    1: _BT709,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_C),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: _BT601,
    7: _BT601,
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *_C),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}
"""ITU-T H.273, table 2."""

_SRGB_CURVE = 13
_WHITE_NITS, _HLG_WHITE = 203.0, 0.75
_SAME_CHROMATICITY = 0.002
"""Programs write sRGB's primaries as 0.64, 0.6401 or 0.63999."""

_SRGB_GAMMA, _SAME_GAMMA = 45_455, 500
"""gAMA's way to say sRGB; some write 45000. Other gammas are read beside it, for a display of 2.2 as the PNG specification does
(13.13): a gamma near sRGB's must not look otherwise in the shadows than sRGB itself, as a plain power would."""

_LEAST_GAMMA, _MOST_GAMMA = 10_000, 1_000_000
"""An exponent of 10 and of a tenth: beyond lies nonsense."""

_TABLE = 255 * 8 + 1
"""Of a curve: each of the 256 levels falls on an entry."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])


class PngColour(NamedTuple):
    """
    Attributes:
        profile: of the pixels; None for sRGB.
        is_made: it was made here from numbers, so a client has never seen it.
    """

    profile: bytes | None
    is_made: bool = False


def png_colour(chunks: Mapping[bytes, bytes], *, is_grey: bool, embedded: bytes | None) -> PngColour:
    """
    Choose between a PNG's statements.

    Args:
        chunks: the payloads of its colour chunks, any bytes.
        is_grey: the pixels have no colours.
        embedded: what iCCP holds, inflated: any bytes.
    """
    told = _from_cicp(chunks.get(b"cICP", b""))
    if told is not None:
        return told
    profile = usable_profile(embedded, "L" if is_grey else "RGB")
    if profile is not None:
        return PngColour(profile)
    if len(chunks.get(b"sRGB", b"")) == 1 and chunks[b"sRGB"][0] <= 3:
        return PngColour(None)
    return _from_gamma(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _from_cicp(payload: bytes) -> PngColour | None:
    if len(payload) != 4:
        return None
    primaries, curve, matrix, full_range = payload
    if matrix != 0 or full_range > 1 or primaries not in _PRIMARIES or curve not in _CURVES:
        return None
    if _is_srgb(_PRIMARIES[primaries]) and curve == _SRGB_CURVE and full_range:
        return PngColour(None)
    return PngColour(_cicp_profile(primaries, curve, bool(full_range)), is_made=True)


@cache
def _cicp_profile(primaries: int, curve: int, is_full_range: bool) -> bytes | None:
    signal = np.linspace(0, 1, _TABLE)
    if not is_full_range:
        signal = np.clip((signal * 255 - 16) / 219, 0, 1)
    return _profile(_PRIMARIES[primaries], _CURVES[curve](signal))


def _from_gamma(gama: bytes, chrm: bytes) -> PngColour:
    gamma = struct.unpack(">I", gama)[0] if len(gama) == 4 else 0
    if not _LEAST_GAMMA <= gamma <= _MOST_GAMMA:
        return PngColour(None)
    primaries = _chromaticities(chrm) or _BT709
    if _is_srgb(primaries) and abs(gamma - _SRGB_GAMMA) <= _SAME_GAMMA:
        return PngColour(None)
    profile = _profile(primaries, _CURVES[_SRGB_CURVE](np.linspace(0, 1, _TABLE) ** (_SRGB_GAMMA / gamma)))
    return PngColour(profile, is_made=profile is not None)


def _chromaticities(chrm: bytes) -> Primaries | None:
    if len(chrm) != 32:
        return None
    white_x, white_y, *colours = (value / 100_000 for value in struct.unpack(">8i", chrm))
    told = (*colours, white_x, white_y)
    pairs = np.reshape(told, (4, 2))
    if (pairs < 0).any() or (pairs[:, 1] < 0.001).any() or (pairs.sum(axis=1) > 1).any():
        return None
    corners = np.hstack([pairs[:3], np.ones((3, 1))])
    if abs(np.linalg.det(corners)) < 0.01:  # a triangle of nearly no area
        return None
    return told


def _is_srgb(primaries: Primaries) -> bool:
    return bool(np.abs(np.subtract(primaries, _BT709)).max() <= _SAME_CHROMATICITY)


# Curves: signal 0..1 to light 0..1, 1 being white --------------------------------------------------------------


def _bt709(signal: Floats) -> Floats:
    return np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))


def _smpte240(signal: Floats) -> Floats:
    return np.where(signal < 0.0912, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


def _srgb(signal: Floats) -> Floats:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: Floats) -> Floats:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    light = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return np.minimum(light / _WHITE_NITS, 1)


def _hlg(signal: Floats) -> Floats:
    a, b, c = 0.17883277, 0.28466892, 0.55991073

    def light(value: Floats) -> Floats:
        scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
        return np.asarray(scene**1.2)

    return np.minimum(light(signal) / light(np.array(_HLG_WHITE)), 1)


def _power(exponent: float) -> Callable[[Floats], Floats]:
    return lambda signal: signal**exponent


_CURVES: dict[int, Callable[[Floats], Floats]] = {
    **dict.fromkeys((1, 6, 14, 15), _bt709),
    4: _power(2.2),
    5: _power(2.8),
    7: _smpte240,
    8: _power(1.0),
    _SRGB_CURVE: _srgb,
    16: _pq,
    17: lambda signal: np.minimum(signal**2.6 * 52.37 / 48, 1),
    18: _hlg,
}
"""ITU-T H.273, table 3."""


# An ICC profile by hand ------------------------------------------------------------------------------------------


def _profile(primaries: Primaries, curve: Floats) -> bytes | None:
    """Matrix and curve (ICC.1:2022); None where white does not lie between the primaries."""
    columns = _to_d50(primaries)
    if columns is None:
        return None
    table = np.round(np.clip(curve, 0, 1) * 65_535).astype(">u2").tobytes()
    trc = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + table
    text = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2, 28) + b"\0-"
    tags = {b"desc": text, b"cprt": text, b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(columns[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return _icc_file(tags, trc)


def _to_d50(primaries: Primaries) -> Floats | None:
    """(3, 3): what each primary adds to XYZ, seen from D50 (Bradford)."""
    xy = np.reshape(primaries, (4, 2))
    xyz = np.column_stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]]).T
    colours, white = xyz[:, :3], xyz[:, 3]
    amounts = np.linalg.solve(colours, white)
    if not (amounts > 0).all():
        return None
    gain = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    if not (np.isfinite(gain).all() and (gain > 0).all()):
        return None
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(gain) @ _BRADFORD
    return np.asarray(adapt @ (colours * amounts))


def _xyz(values: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *np.round(values * 65_536).astype(int))


def _icc_file(tags: Mapping[bytes, bytes], trc: bytes) -> bytes:
    start = 128 + 4 + 12 * (len(tags) + 3)
    table, body = b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        table += struct.pack(">4sII", name, start + len(body), len(trc))
    body += trc + b"\0" * (-len(trc) % 4)
    size = start + len(body)
    head = struct.pack(">I4xI4s4s4s6H4s", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ", 2026, 1, 1, 0, 0, 0, b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">3i", *np.round(_D50 * 65_536).astype(int))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags) + 3) + table + body
