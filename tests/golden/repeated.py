"""Clean pictures that are made of repetition or of letters, drawn: no mark is on any of them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ml.picture.types import RgbImage

HEIGHT, WIDTH = 480, 640
Draw = Callable[[ImageDraw.ImageDraw, np.random.Generator], None]
Grid = NDArray[np.int64]
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "seven",
    "wizards",
    "brew",
    "green",
    "tea",
    "friends",
]


def _drawn(ground: tuple[int, int, int], draw: Draw, seed: int = 0) -> RgbImage:
    image = Image.new("RGB", (WIDTH, HEIGHT), ground)
    draw(ImageDraw.Draw(image), np.random.default_rng(seed))
    return np.asarray(image, np.uint8).copy()


def _where(mask: NDArray[np.bool_], ink: tuple[int, int, int], ground: tuple[int, int, int]) -> RgbImage:
    return np.where(mask[..., None], np.array(ink, np.uint8), np.array(ground, np.uint8))


def _grid() -> tuple[Grid, Grid]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return x, y


def _text(rng: np.random.Generator, words: int) -> str:
    return " ".join(WORDS[rng.integers(len(WORDS))] for _ in range(words))


def _paragraphs(size: int, columns: int, ink: str) -> Draw:
    def draw(on: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
        font = ImageFont.load_default(size)
        across = (WIDTH - 60) // columns
        for column in range(columns):
            for line, y in enumerate(range(24, HEIGHT - 20, round(1.45 * size))):
                if line % 7 != 6:
                    on.text((30 + column * across, y), _text(rng, int(across / size / 3)), ink, font)

    return draw


def _cells(step_x: int, step_y: int, text: Callable[[int, int], str], ink: str, size: int = 14) -> Draw:
    def draw(on: ImageDraw.ImageDraw, _: np.random.Generator) -> None:
        font = ImageFont.load_default(size)
        for row, y in enumerate(range(0, HEIGHT, step_y)):
            for column, x in enumerate(range(0, WIDTH, step_x)):
                on.rectangle((x, y, x + step_x, y + step_y), outline="#a0a0a0")
                on.text((x + 5, y + 3), text(row, column), ink, font)

    return draw


def _keyboard(on: ImageDraw.ImageDraw, _: np.random.Generator) -> None:
    font = ImageFont.load_default(18)
    for row, letters in enumerate(("1234567890-=", "QWERTYUIOP[]", "ASDFGHJKL;'#", "ZXCVBNM,./<>", "°!?%&/()=+*~")):
        for column, letter in enumerate(letters):
            x, y = 16 + column * 50 + row * 6, 60 + row * 76
            on.rounded_rectangle((x, y, x + 44, y + 66), 6, "#3a3c40", "#17181a")
            on.text((x + 8, y + 6), letter, "#f0f0f0", font)


def _catalogue(on: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    font = ImageFont.load_default(13)
    for row in range(3):
        for column in range(4):
            x, y = 20 + column * 155, 16 + row * 155
            on.polygon(
                [(x + 20, y + 110), (x + 60, y + 10), (x + 100, y + 110)], tuple(rng.integers(40, 220, 3).tolist())
            )
            on.text((x + 18, y + 118), f"Item {row * 4 + column + 1}", "#303030", font)
            on.text((x + 18, y + 133), f"€ {rng.integers(5, 99)}.90", "#a01818", font)


def _code(on: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    font = ImageFont.load_default(14)
    for number, y in enumerate(range(10, HEIGHT, 20)):
        on.text((8, y), f"{number + 1:3}", "#606878", font)
        x = 50 + 24 * int(rng.integers(4))
        for _ in range(int(rng.integers(1, 6))):
            word = str(rng.choice(["def", "return", "for", "in", "x", "=", "(a, b):", "self.value", "+ 1", "'text'"]))
            on.text((x, y), word, str(rng.choice(["#c678dd", "#98c379", "#61afef", "#e5c07b", "#d7dae0"])), font)
            x += on.textlength(word + " ", font)


def _app(on: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    font = ImageFont.load_default(15)
    on.rectangle((0, 0, WIDTH, 44), "#2458c8")
    on.text((16, 12), "Inbox", "white", font)
    on.rectangle((0, 44, 150, HEIGHT), "#e8ecf4")
    for row in range(9):
        on.text((16, 60 + row * 44), _text(rng, 1).title(), "#30405a", font)
        on.ellipse((166, 56 + row * 46, 196, 86 + row * 46), tuple(rng.integers(60, 220, 3).tolist()))
        on.text((208, 54 + row * 46), _text(rng, 4), "#101418", font)
        on.text((208, 74 + row * 46), _text(rng, 7), "#808890", ImageFont.load_default(12))
        on.line((160, 96 + row * 46, WIDTH, 96 + row * 46), "#dde2ea")


def _map(on: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    on.polygon([(0, 300), (180, 260), (330, 330), (640, 280), (640, 340), (320, 390), (0, 350)], "#a8cdf0")
    on.rectangle((380, 60, 520, 170), "#c8e4b8")
    for _ in range(22):
        ends = rng.integers(-50, 700, 4).tolist()
        on.line(ends, "#d8d4cc", 9)
        on.line(ends, "white", 6)
    for _ in range(18):
        on.text(tuple(rng.integers(0, 560, 2).tolist()), _text(rng, 2).title(), "#505860", ImageFont.load_default(13))


def _music(on: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for top in range(30, HEIGHT - 60, 90):
        for line in range(5):
            on.line((20, top + 10 * line, WIDTH - 20, top + 10 * line), "black")
        for x in range(50, WIDTH - 40, 34):
            y = top + 5 * int(rng.integers(0, 9))
            on.ellipse((x, y - 4, x + 11, y + 4), "black")
            on.line((x + 11, y, x + 11, y - 30), "black", 2)


def _shop_front(on: ImageDraw.ImageDraw, _: np.random.Generator) -> None:
    for row in range(5):
        for column in range(8):
            x, y = 14 + column * 79, 20 + row * 94
            on.rectangle((x, y, x + 50, y + 66), "#5a7890", "#e8e4da", 4)
            on.line((x + 25, y, x + 25, y + 66), "#e8e4da", 3)


def _calendar(row: int, column: int) -> str:
    return (
        str(row * 7 + column + 1) if 0 < row < 6 else "MoTuWeThFrSaSu"[column * 2 : column * 2 + 2] if row == 0 else ""
    )


def _code_of_squares(unit: int) -> RgbImage:
    modules = np.random.default_rng(4).random((HEIGHT // unit - 8, HEIGHT // unit - 8)) < 0.5
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    large = np.kron(modules, np.ones((unit, unit), bool))
    picture[4 * unit : 4 * unit + large.shape[0], 100 : 100 + large.shape[1]][large] = 0
    return picture


def _barcode() -> RgbImage:
    runs = np.repeat(np.random.default_rng(5).random(WIDTH // 5 + 1) < 0.5, 5)[:WIDTH]
    picture = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    picture[80:380, 60:580][:, runs[60:580]] = 15
    return picture


def _tartan() -> RgbImage:
    x, y = _grid()
    bands = np.array([(140, 20, 30), (140, 20, 30), (20, 60, 30), (20, 60, 30), (20, 30, 90), (230, 220, 200)], float)
    return np.asarray((bands[x // 14 % 6] + bands[y // 14 % 6]) / 2, np.uint8)


def _mosaic() -> RgbImage:
    x, y = _grid()
    tints = np.random.default_rng(6).integers(60, 240, (40, 50, 3))
    return np.where(((x % 16 < 2) | (y % 16 < 2))[..., None], 225, tints[y // 16, x // 16]).astype(np.uint8)


def _halftone() -> RgbImage:
    x, y = _grid()
    u, v = (x + y) / 11.3, (x - y) / 11.3
    light = 0.15 + 0.45 * (x / WIDTH) * (0.6 + 0.4 * np.cos(y / 90))
    return _where(np.hypot(u % 1 - 0.5, v % 1 - 0.5) < light, (30, 30, 34), (246, 244, 238))


def _knit() -> RgbImage:
    x, y = _grid()
    wave = np.sin(2 * np.pi * (y / 12 + np.abs(x % 20 - 10) / 14))
    return (np.array([120, 60, 70.0]) + 45 * wave[..., None]).astype(np.uint8)


def _corrugated() -> RgbImage:
    x, _ = _grid()
    return np.repeat((140 + 70 * np.sin(2 * np.pi * x / 26))[..., None], 3, 2).astype(np.uint8)


def _basket() -> RgbImage:
    x, y = _grid()
    across = (x // 32 + y // 32) % 2 == 0
    light = np.where(across, np.sin(np.pi * (y % 32 % 8) / 8), np.sin(np.pi * (x % 32 % 8) / 8))
    return (np.array([110, 74, 40.0]) + 90 * light[..., None]).astype(np.uint8)


def _roof() -> RgbImage:
    x, y = _grid()
    row = y // 24
    distance = np.hypot((x + row % 2 * 20) % 40 - 20, y % 24 + 4)
    light = np.where(distance < 24, distance / 24, 0.25)
    return (np.array([190, 84, 52.0]) * (0.45 + 0.55 * light[..., None])).astype(np.uint8)


def _circles() -> RgbImage:
    x, y = _grid()
    ring = np.hypot(x % 80 - 40, y % 80 - 40)
    return _where((ring < 34) & (ring > 26), (230, 90, 60), (250, 240, 215))


def _honeycomb() -> RgbImage:
    x, y = _grid()
    centres = [np.hypot((x + a) % 48 - 24, (y + b) % 84 - 42) for a, b in ((0, 0), (24, 42))]
    return _where(np.minimum(*centres) > 22, (120, 70, 10), (245, 190, 60))


def _thumbnails() -> RgbImage:
    rng, picture = np.random.default_rng(8), np.full((HEIGHT, WIDTH, 3), 245, np.uint8)
    for top in range(10, HEIGHT - 100, 118):
        for left in range(10, WIDTH - 100, 126):
            small = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
            picture[top : top + 104, left : left + 112] = cv2.resize(small, (112, 104), interpolation=cv2.INTER_CUBIC)
    return picture


def _confetti() -> RgbImage:
    rng = np.random.default_rng(9)

    def draw(on: ImageDraw.ImageDraw, _: np.random.Generator) -> None:
        for _ in range(500):
            x, y = rng.integers(0, WIDTH), rng.integers(0, HEIGHT)
            on.ellipse((x, y, x + 8, y + 8), tuple(rng.integers(40, 240, 3).tolist()))

    return _drawn((252, 250, 246), draw)


def pictures() -> dict[str, RgbImage]:
    """Each (HEIGHT, WIDTH, 3) uint8, flat: as a screen shows it."""
    x, y = _grid()
    row = y // 30
    flat = {
        "dots": _where(np.hypot(x % 44 - 22, y % 44 - 22) < 9, (40, 60, 120), (250, 248, 240)),
        "fine dots": _where(
            np.hypot((x + y // 10 % 2 * 10) % 20 - 10, y % 20 - 10) < 4, (255, 255, 255), (200, 60, 90)
        ),
        "chessboard": _where((x // 60 + y // 60) % 2 == 0, (28, 26, 25), (240, 236, 225)),
        "small chequers": _where((x // 14 + y // 14) % 2 == 0, (250, 250, 250), (20, 20, 20)),
        "bricks": _where((y % 30 < 4) | ((x + row % 2 * 32) % 64 < 4), (205, 200, 190), (178, 88, 60)),
        "gingham": (np.array([60, 110, 190.0]) + 60 * ((x // 20 % 2) + (y // 20 % 2))[..., None] * [1, 0.8, 0.5]).clip(
            0, 255
        ),
        "tartan": _tartan(),
        "stripes": _where(x // 22 % 2 == 0, (20, 50, 110), (245, 245, 240)),
        "pinstripes": _where(x % 18 < 2, (210, 212, 220), (36, 40, 54)),
        "diagonal stripes": _where((x + y) // 26 % 2 == 0, (250, 200, 20), (25, 25, 25)),
        "windows": _drawn((170, 150, 130), _shop_front),
        "curtain wall": _where((x % 52 < 5) | (y % 38 < 5), (60, 66, 74), (140, 176, 200)),
        "keyboard": _drawn((24, 25, 28), _keyboard),
        "floor tiles": _where((x % 80 < 4) | (y % 80 < 4), (150, 150, 146), (224, 220, 212)),
        "catalogue": _drawn((250, 250, 250), _catalogue),
        "mosaic": _mosaic(),
        "knit": _knit(),
        "fence": _where(((x + y) % 40 < 4) | ((x - y) % 40 < 4), (120, 124, 128), (150, 190, 226)),
        "railings": _where((x % 36 < 8) | (y < 30) | (y > 440), (30, 34, 36), (186, 200, 170)),
        "halftone": _halftone(),
        "text page": _drawn((253, 252, 248), _paragraphs(17, 1, "#1c1c1c")),
        "newspaper": _drawn((236, 230, 216), _paragraphs(11, 3, "#2a2826")),
        "white on black": _drawn((12, 12, 14), _paragraphs(22, 1, "#f4f4f4")),
        "code": _drawn((40, 44, 52), _code),
        "spreadsheet": _drawn(
            (255, 255, 255), _cells(80, 22, lambda r, c: f"{(r * 37 + c * 911) % 9973}", "#202020", 13)
        ),
        "calendar": _drawn((255, 255, 255), _cells(91, 68, _calendar, "#b02020", 22)),
        "crossword": _where((x // 32 * 7 + y // 32 * 5) % 4 == 0, (10, 10, 10), (255, 255, 255)),
        "screen": _drawn((255, 255, 255), _app),
        "square code": _code_of_squares(12),
        "barcode": _barcode(),
        "map": _drawn((240, 238, 232), _map),
        "sheet music": _drawn((255, 253, 246), _music),
        "parquet": _where((x + y // 60 % 2 * 40) % 80 < 2, (90, 56, 30), (186, 132, 82)),
        "corrugated": _corrugated(),
        "basket": _basket(),
        "roof": _roof(),
        "circles": _circles(),
        "honeycomb": _honeycomb(),
        "thumbnails": _thumbnails(),
        "confetti": _confetti(),
        "graph paper": _where((x % 16 == 0) | (y % 16 == 0), (150, 190, 220), (255, 255, 255)),
        "net": _where((x % 24 < 3) | (y % 24 < 3), (240, 240, 240), (40, 100, 60)),
    }
    return {name: np.asarray(picture, np.uint8) for name, picture in flat.items()}


def as_seen(flat: RgbImage, seed: int = 0) -> RgbImage:
    """As a camera sees it: a little soft, lit from one side, with grain."""
    rng = np.random.default_rng(seed)
    light = np.linspace(0.85, 1.05, WIDTH)[None, :, None]
    seen = cv2.GaussianBlur(flat * light + rng.normal(0, 3, flat.shape), (0, 0), 0.7)
    return np.clip(seen, 0, 255).astype(np.uint8)
