"""
The alpha channel of a large WebP whose alpha is noise: Huffman codes alone, in numpy.

libwebp looks for repetitions, which noise has none of: 15 s of CPU for 100 megapixels, where this takes 2, without loss.
The layout is RFC 9649's: a chunk ALPH whose payload is a lossless image stream (VP8L) without its head, alpha in green.
"""

from __future__ import annotations

import heapq
import io
import struct

import numpy as np
from numpy.typing import NDArray

from apps.core.pictures import webp

LARGE_PIXELS = 1 << 24
"""Below that libwebp's file, whose alpha is a fifth to two fifths smaller, costs 2.5 s at most."""

NOISY_SHARE, ROW_STEP = 0.25, 64
"""Of neighbours in every such row, so many differ: an edge a pixel or two wide never does that, nor does a gradient."""

MAX_BITS = 15
"""Of a code, by the format."""

_STRIP_PIXELS = 1 << 21
_GREENS, _LENGTHS_BITS = 256 + 24, 4
_LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_ALPHA_FLAG, _VP8X = 0x10, struct.Struct("<I3s3s")
_AS_IT_IS, _LOSSLESS = b"\0", b"\x01"
"""The chunk's first byte: how it is compressed; no filter, nothing done before."""

_WORTH_IT = 0.97
"""Of the alpha's bytes: where codes would save less, they are two seconds of CPU for 100 megapixels and nothing else."""


def is_large_noise(alpha: NDArray[np.uint8]) -> bool:
    """Is an (H, W) uint8 alpha channel one for `add_alpha`?"""
    rows = alpha[::ROW_STEP]
    return alpha.size >= LARGE_PIXELS and bool((rows[:, 1:] != rows[:, :-1]).mean() > NOISY_SHARE)


def add_alpha(file: bytes, packed: bytes, *, size_wh: tuple[int, int]) -> bytes:
    """
    Give a lossy WebP an alpha channel.

    Args:
        file: a still WebP without one.
        packed: what `pack` makes of the channel.
        size_wh: the picture's, in pixels.
    """
    parts = {
        name: file[place : place + 8 + length + length % 2] for name, place, length in webp.chunks(io.BytesIO(file))
    }
    extended = parts.pop(b"VP8X", b"")
    flags = (extended[8] if extended else 0) | _ALPHA_FLAG
    head = _VP8X.pack(flags, *((side - 1).to_bytes(3, "little") for side in size_wh))
    body = [_chunk(b"VP8X", head), parts.pop(b"ICCP", b""), _chunk(b"ALPH", packed), *parts.values()]
    length = 4 + sum(map(len, body))
    return b"".join([webp.RIFF, length.to_bytes(4, "little"), webp.WEBP, *body])


def _chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", name, len(payload)) + payload + bytes(len(payload) % 2)


def pack(alpha: NDArray[np.uint8]) -> bytes:
    """
    The chunk's payload: an image stream without transform or cache of colours, with one group of codes, of which only green's
    has more than one; or the alpha as it is, where it is noise through and through.

    Args:
        alpha: (H, W) uint8, of two levels at least.
    """
    levels = np.ascontiguousarray(alpha).reshape(-1)
    counts = _counts(levels)
    lengths = code_lengths(counts)
    if int(counts @ lengths.astype(np.int64)) > _WORTH_IT * 8 * len(levels):
        return _AS_IT_IS + levels.tobytes()
    packer = _BitPacker()
    packer.add(np.array([0, 0, 0], np.uint64), np.array([1, 1, 1], np.uint64))
    packer.add(*_described(lengths))
    for _ in ("red", "blue", "alpha", "distance"):  # one code each, of no bits: a simple code of one symbol, 0
        packer.add(np.array([1, 0, 0, 0], np.uint64), np.array([1, 1, 1, 1], np.uint64))
    codes = _canonical(lengths)
    pair_codes = (codes[None, :] | codes[:, None] << lengths[None, :]).reshape(
        -1
    )  # the first of a pair is the low byte
    pair_lengths = (lengths[None, :] + lengths[:, None]).reshape(-1)
    even = len(levels) & ~1
    pairs = levels[:even].view("<u2")
    for start in range(0, len(pairs), _STRIP_PIXELS // 2):
        strip = pairs[start : start + _STRIP_PIXELS // 2]
        packer.add(pair_codes[strip], pair_lengths[strip])
    packer.add(codes[levels[even:]], lengths[levels[even:]])
    return _LOSSLESS + packer.done()


def _counts(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each of 256 comes; a strip at a time, which numpy makes eight times as large."""
    counts = np.zeros(256, np.int64)
    for start in range(0, len(levels), _STRIP_PIXELS):
        counts += np.bincount(levels[start : start + _STRIP_PIXELS], minlength=256)
    return counts


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """
    Huffman's, `MAX_BITS` at most, for 256 levels; 0 for one that never comes.

    Rare levels count as more until the longest code fits.
    """
    least = 1
    while True:
        weights = np.where(counts > 0, np.maximum(counts, least), 0)
        lengths = _huffman(weights)
        if lengths.max() <= MAX_BITS:
            return lengths
        least = 2 * max(least, int(counts.sum()) >> 18)


def _huffman(weights: NDArray[np.int64]) -> NDArray[np.uint64]:
    lengths = np.zeros(256, np.uint64)
    heap = [(int(weights[level]), level, [level]) for level in np.flatnonzero(weights)]
    heapq.heapify(heap)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        members = one[2] + other[2]
        lengths[members] += np.uint64(1)
        heapq.heappush(heap, (one[0] + other[0], min(one[1], other[1]), members))
    return lengths


def _canonical(lengths: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each level's code, its first bit lowest."""
    codes, code, last = np.zeros(256, np.uint64), 0, 0
    for level in sorted(np.flatnonzero(lengths), key=lambda level: (lengths[level], level)):
        bits = int(lengths[level])
        code <<= bits - last
        codes[level], last = int(f"{code:0{bits}b}"[::-1], 2), bits
        code += 1
    return codes


def _described(lengths: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Green's code lengths, each of 0 to 15 in four bits: values and their bits."""
    flat = [int(f"{length:04b}"[::-1], 2) for length in (*map(int, lengths), *[0] * (_GREENS - 256))]
    head = [(0, 1), (len(_LENGTH_ORDER) - 4, 4), *((4 if symbol < 16 else 0, 3) for symbol in _LENGTH_ORDER), (0, 1)]
    values = [value for value, _ in head] + flat
    bits = [bit_count for _, bit_count in head] + [_LENGTHS_BITS] * len(flat)
    return np.array(values, np.uint64), np.array(bits, np.uint64)


class _BitPacker:
    """Writes numbers of given lengths in bits one behind the other, the lowest bit first."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._rest, self._rest_bits = np.uint64(0), 0

    def add(self, values: NDArray[np.uint64], bits: NDArray[np.uint64]) -> None:
        """Add numbers, each below 2 to the power of its bits, 32 at most."""
        if not len(values):
            return
        ends = np.cumsum(bits, dtype=np.uint64) + np.uint64(self._rest_bits)
        starts = ends - bits
        total = int(ends[-1])
        words = np.zeros(total // 64 + 2, np.uint64)
        words[0] = self._rest
        at, shift = (starts >> np.uint64(6)).astype(np.intp), starts & np.uint64(63)
        first = np.flatnonzero(np.diff(at, prepend=-1))  # of each word: what begins in it
        words[at[first]] |= np.bitwise_or.reduceat(values << shift, first)
        over = np.flatnonzero(shift + bits > 64)  # one a word at most goes on in the next
        words[at[over] + 1] |= values[over] >> (np.uint64(64) - shift[over])
        whole = total // 64
        self._parts.append(words[:whole].tobytes())
        self._rest, self._rest_bits = words[whole], total % 64

    def done(self) -> bytes:
        """All that was added, filled up to bytes."""
        return b"".join(self._parts) + self._rest.tobytes()[: -(-self._rest_bits // 8)]
