"""A client's ZIP: what is wrong with it is found before anything is unpacked, and what is wrong with an entry harms no other."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from apps.batches.zip_reading import entries_of, read_zip
from apps.core.errors import AppError
from tests.contract.batch_calls import zip_of

PHOTO = b"\x89PNG not really a photo"


def refused(data: bytes) -> AppError:
    with pytest.raises(AppError) as caught:
        list(entries_of(read_zip(io.BytesIO(data))))
    assert [detail.field for detail in caught.value.details] == ["archive"]
    return caught.value


def names(data: bytes) -> list[str]:
    return [entry.name for entry in read_zip(io.BytesIO(data))]


def many_entries(count: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.png", b"")
    return packed.getvalue()


def with_flag(data: bytes, flag: int) -> bytes:
    """Set a flag in every header."""
    changed = bytearray(data)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            changed[at + place : at + place + 2] = struct.pack(
                "<H", struct.unpack_from("<H", data, at + place)[0] | flag
            )
    return bytes(changed)


def claiming(data: bytes, size: int) -> bytes:
    """The directory says that its first entry unpacks to so many bytes."""
    changed = bytearray(data)
    at = data.find(b"PK\x01\x02")
    changed[at + 24 : at + 28] = struct.pack("<I", size)
    return bytes(changed)


def overlapping() -> bytes:
    """Two lines of the directory that lead to the same bytes."""
    data = zip_of({"a.png": PHOTO})
    at, end = data.find(b"PK\x01\x02"), data.find(b"PK\x05\x06")
    line = data[at:end]
    tail = data[end : 8 + end] + struct.pack("<HHII", 2, 2, 2 * len(line), at) + b"\0\0"
    return data[:at] + line + line + tail


def test_images_come_in_the_archives_order_without_what_systems_add() -> None:
    data = zip_of(
        [
            ("b/", b""),
            ("b/2.png", PHOTO),
            ("a.png", PHOTO),
            ("__MACOSX/._a.png", b"x"),
            (".DS_Store", b"x"),
            ("b/Thumbs.db", b"x"),
        ]
    )

    assert names(data) == ["b/2.png", "a.png"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no ZIP"),
        (b"not a zip at all" * 100, "no ZIP"),
        (zip_of({"a.png": PHOTO})[:-30], "no ZIP"),
        (zip_of({}), "no image"),
        (zip_of({"folder/": b""}), "no image"),
        (zip_of({"../a.png": PHOTO}), "leads out"),
        (zip_of({"x/../../a.png": PHOTO}), "leads out"),
        (zip_of({"..\\a.png": PHOTO}), "leads out"),
        (zip_of({"/etc/a.png": PHOTO}), "leads out"),
        (zip_of({"C:/a.png": PHOTO}), "leads out"),
        (zip_of({"a.png": PHOTO, "more.zip": PHOTO}), "ZIP in the ZIP"),
        (zip_of({"a.png": PHOTO, "b.png": zip_of({"c.png": PHOTO})}), "ZIP in the ZIP"),
        (zip_of({"a.png": PHOTO}, method=zipfile.ZIP_LZMA), "stored or deflated"),
        (zip_of({"a.png": PHOTO}, method=zipfile.ZIP_BZIP2), "stored or deflated"),
        (zip_of({"a.png": bytes(20_000_000)}), "100 times"),
        (claiming(zip_of({"a.png": PHOTO}), 4_000_000_000), "100 times"),
        (overlapping(), "share their bytes"),
        (with_flag(zip_of({"a.png": PHOTO}), 1), "encrypted"),
        (zip_of({f"{number}.png": PHOTO for number in range(101)}), "at most 100"),
        (many_entries(1001), "more than 1000 entries"),
        (many_entries(65_000), "more than 1000 entries"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_the_archive_refuses_it(data: bytes, words: str) -> None:
    error = refused(data)

    assert error.code.name == "VALIDATION_ERROR"
    assert words in error.message


def test_unpacked_to_more_than_300_mb_is_too_large() -> None:
    part = zip_of({f"{number}.png": bytes(4_000_000) for number in range(90)})

    assert refused(part).code.name == "PAYLOAD_TOO_LARGE"


def test_directory_of_millions_is_not_read_into_memory() -> None:
    line = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 400_000
    data = line * count + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, len(line) * count, 0, 0)
    file = io.BytesIO(data)
    tracemalloc.start()

    with pytest.raises(AppError, match="1000 entries"):
        read_zip(file)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_damaged_entry_is_no_fault_of_the_others() -> None:
    data = bytearray(zip_of({"a.png": PHOTO, "b.png": PHOTO}, method=zipfile.ZIP_STORED))
    data[data.find(PHOTO) + 5] ^= 0xFF

    found: list[Any] = [each for _, each in entries_of(read_zip(io.BytesIO(bytes(data))))]

    assert [detail.field for detail in found[0].details] == ["image"]
    assert found[1].read() == PHOTO


def test_entry_never_gives_more_than_it_said() -> None:
    data = claiming(zip_of({"a.png": bytes(5_000_000)}), 1000)

    ((_, found),) = entries_of(read_zip(io.BytesIO(data)))

    assert isinstance(found, AppError)


@pytest.mark.parametrize("name", ["Zoë.png", "靴.png", "a b.png"])
def test_names_in_utf_8_with_and_without_the_flag(name: str) -> None:
    flagged = zip_of({name: PHOTO})

    unflagged = bytearray(flagged)
    for signature, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        unflagged[flagged.find(signature) + place] &= 0xF7

    assert names(flagged) == [name]
    assert names(bytes(unflagged)) == [name]


def test_name_in_no_encoding_is_a_name() -> None:
    data = zip_of({"aXX.png": PHOTO}).replace(b"aXX.png", b"a\xff\x82.png")

    (name,) = names(data)

    assert name.endswith(".png")


def test_name_that_says_utf_8_and_is_none_refuses_the_archive() -> None:
    data = with_flag(zip_of({"aXX.png": PHOTO}), 0x800).replace(b"aXX.png", b"a\xff\xfe.png")

    assert "no ZIP" in refused(data).message


def test_two_entries_of_one_name_both_count() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zip_of([("a.png", PHOTO), ("a.png", PHOTO + b"2")])

    found: list[Any] = [each for _, each in entries_of(read_zip(io.BytesIO(data)))]

    assert [each.read() for each in found] == [PHOTO, PHOTO + b"2"]


def test_entry_without_a_name_is_an_entry() -> None:
    data = zip_of({"X": PHOTO})
    at = data.find(b"PK\x01\x02")
    line = data[at : data.find(b"PK\x05\x06")]
    nameless = line[:28] + b"\0\0" + line[30:-1]
    end = data[at + len(line) :]
    changed = data[:at] + nameless + end[:12] + struct.pack("<I", len(nameless)) + end[16:]

    assert names(changed) == [""]


def test_place_before_the_files_start_is_damage(tmp_path: Path) -> None:
    """A real file refuses such a seek otherwise than one in memory."""
    data = bytearray(zip_of({"a.png": PHOTO}))
    end = data.find(b"PK\x05\x06")
    data[end + 16 : end + 20] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "it.zip").write_bytes(data)

    with (tmp_path / "it.zip").open("rb") as file, pytest.raises(AppError):
        list(entries_of(read_zip(file)))
