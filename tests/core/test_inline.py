from __future__ import annotations

import base64

import pytest

from apps.core.errors import AppError, Fault
from apps.core.intake.inline import read_base64

DATA = bytes(range(251)) + b"\xfb\xff\xfe?>"  # plus and slash occur
TEXT = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.rstrip("="),
        base64.urlsafe_b64encode(DATA).decode(),
        "\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)),
        f"  data:image/png;base64,{TEXT}\n",
        f"DATA:image/png;name=a.png;Base64, {TEXT}",
        f"data:;base64,{TEXT}",
    ],
)
def test_every_usual_spelling_is_read(text: str) -> None:
    with read_base64(text, max_bytes=1000, field="image_base64") as file:
        assert file.tell() == 0
        assert file.read() == DATA


@pytest.mark.parametrize("length", range(5))
def test_any_length_survives_without_padding(length: int) -> None:
    text = base64.b64encode(DATA[:length]).decode().rstrip("=")

    assert read_base64(text, max_bytes=9, field="x").read() == DATA[:length]


@pytest.mark.parametrize("text", ["A", "AB*D", "AB=CD", "é===", "data:image/png,AAAA", "https://a.b/c.png", "AAAA\0"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(AppError) as caught:
        read_base64(text, max_bytes=1000, field="smear_base64")

    assert caught.value.details[0].field == "smear_base64"
    assert caught.value.details[0].fault is Fault.INVALID_VALUE


def test_the_size_is_checked_before_decoding() -> None:
    read_base64(TEXT, max_bytes=len(DATA), field="image_base64")

    for text in (TEXT, "*" * len(TEXT)):  # the second would be no base64, were it looked at
        with pytest.raises(AppError) as caught:
            read_base64(text, max_bytes=len(DATA) - 1, field="image_base64")
        assert caught.value.details[0].fault is Fault.FILE_TOO_LARGE
