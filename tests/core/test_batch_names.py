"""Names of a batch's images are safe paths on every system, and each is there once."""

from __future__ import annotations

import pytest

from apps.batches.names import LONGEST, safe, unique


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("red shoe.jpg", "red shoe.jpg"),
        ("shoes/red.jpg", "shoes/red.jpg"),
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/path.png", "abs/path.png"),
        ("C:\\photos\\a.jpg", "C_/photos/a.jpg"),
        ("a\x00b\n.jpg", "a_b_.jpg"),
        ("con.jpg", "_con.jpg"),
        ("dir/LPT1", "dir/_LPT1"),
        ("Schuh für Zoë.jpg", "Schuh für Zoë.jpg"),
        ("Zoe\u0308.jpg", "Zoë.jpg"),
        ("靴.webp", "靴.webp"),
        ("gpj.\u202eexe.jpg", "gpj._exe.jpg"),
        ("half\ud800.jpg", "half?.jpg".replace("?", "_")),
        ("...", "image-7"),
        ("", "image-7"),
        ("/", "image-7"),
        (" .jpg", "jpg"),
    ],
)
def test_name_is_safe(sent: str, kept: str) -> None:
    assert safe(sent, otherwise="image-7") == kept


def test_long_name_keeps_its_extension() -> None:
    name = safe("x" * 500 + ".jpeg", otherwise="image-1")

    assert (len(name), name[-5:]) == (LONGEST, ".jpeg")


def test_same_names_get_numbers_whatever_their_capitals() -> None:
    assert unique(["a.jpg", "A.JPG", "a.jpg", "a-2.jpg", "b"]) == ["a.jpg", "A-2.JPG", "a-3.jpg", "a-2-2.jpg", "b"]
