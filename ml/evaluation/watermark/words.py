"""What marks say. Words, like fonts and logos, are either for training or for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.evaluation.sets import is_held_out
from ml.evaluation.watermark.fonts import Part

WORDS = """
amber anchor apex aria arrow atlas aurora autumn azure basil bay beacon birch bloom blue bold bright brook canvas cedar
chrome cinder citrus clay cloud clover cobalt coral crane creek crown crystal cypress dawn delta desert dove drift dune
eagle ember epic fable falcon fern field finch fjord flame flint forest fox frame frost garnet ginger glacier globe gold
granite grove harbor hawk hazel heron hollow horizon indigo iris iron island ivory jade jasper juniper kestrel lagoon
lake lark laurel lemon lens light lily linen lion lotus lumen lunar lynx maple marble meadow mesa mint mirror mist moon
moss nectar night noble north nova oak ocean olive onyx opal orbit orchid otter palm panda pearl pebble pine pixel plum
polar poppy prime prism quartz rain raven reef ridge river robin rose ruby sable saffron sage sand scarlet shadow shore
silk silver sky slate snow solar sparrow spruce star stone storm studio summit sun swift tango teal thistle thunder
tiger timber topaz trail tulip umber urban valley velvet violet vista walnut wave west willow winter wolf wonder zenith
""".split()  # noqa: SIM905  # fmt: skip
NAMES = """
Anna Marta Lucas Oliver Sofia Hugo Emma Noah Mila Leon Clara Jonas Nina Pavel Elena Marco Irina Tomas Greta Felix Paula
Viktor Sara Milan Julia Anton Carla Simon Petra Bruno Alice Diego Laura Kevin Maria Peter Amira Chen Yuki Ravi Novak
Schmidt Rossi Garcia Dubois Kowalski Jensen Silva Meyer Costa Moreau Weber Larsen Horvat Bauer Santos Keller Lopez Smith
""".split()  # noqa: SIM905  # fmt: skip
PHRASES = (
    "SAMPLE", "PREVIEW", "DRAFT", "PROOF", "COPYRIGHT", "Do not copy", "CONFIDENTIAL", "Not for sale", "Protected",
    "WATERMARK", "All rights reserved", "DEMO", "For review only", "VOID", "Evaluation", "Trial version", "Stock photo",
    "Image preview", "Made by hand", "Original", "Shop photo", "Sold", "New arrival", "Best seller",
)  # fmt: skip
CHINESE = (
    "版权所有", "样图", "仅供参考", "淘宝正品", "严禁盗图", "实物拍摄", "旗舰店", "官方正品", "摄影作品", "请勿转载",
    "品质保证", "原创设计", "图片水印", "实拍图", "新品上市",
)  # fmt: skip
ENDINGS = (".com", ".net", ".org", ".de", ".io", ".shop", ".photo", ".co.uk", ".cn")
TRADES = ("Photography", "Photo", "Studio", "Images", "Media", "Design", "Stock", "Shop", "Store", "Pictures", "Art")


def of_part(items: Sequence[str], part: Part) -> tuple[str, ...]:
    """Those of `items` that belong to `part`."""
    return tuple(item for item in items if is_held_out(item) == (part == "test"))


def write(rng: np.random.Generator, words: Sequence[str], names: Sequence[str], phrases: Sequence[str]) -> str:
    """One line as marks carry it: a name, an address, a date, a phrase."""
    a, b = (words[int(rng.integers(len(words)))] for _ in range(2))
    name = " ".join(names[int(rng.integers(len(names)))] for _ in range(2))
    trade, year = TRADES[rng.integers(len(TRADES))], rng.integers(1998, 2027)
    month, day = rng.integers(1, 13), rng.integers(1, 29)
    line = (
        f"© {name}", f"© {name} {trade} {year}", f"{name} {trade}", f"www.{a}{b}{ENDINGS[rng.integers(len(ENDINGS))]}",
        f"{a}{b}{ENDINGS[rng.integers(len(ENDINGS))]}", f"{a.title()} {b.title()}", f"{a}{trade.lower()}",
        f"{a.title()} {trade}", f"@{a}_{b}", f"{year}/{month:02}/{day:02}", f"{day:02}.{month:02}.{year} {month + 8}:{day + 20}",
        a.upper(), a.title(), f"{a.upper()} {trade.upper()}", f"#{rng.integers(10_000, 999_999_999)}",
    )  # fmt: skip
    if rng.random() < 0.25:
        text = phrases[int(rng.integers(len(phrases)))]
        return text.upper() if rng.random() < 0.3 else text
    return line[rng.integers(len(line))]
