"""
A client's ZIP, read entry by entry from disk.

Nothing is unpacked before the directory has been looked at: its size, its entries, their names, their sizes and how much each
claims to grow. An entry then never gives more than it said. What is wrong with the archive refuses it whole; what is wrong with
one image in it is for whoever inspects that.
"""

from __future__ import annotations

import errno
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid

MOST_IMAGES = 100
MOST_BYTES = 300 * 1_048_576
_MOST_ENTRIES = 1000  # folders and what systems add are no images
_MOST_READ = 1_048_576  # the directory is read at once: 20,000 entries at most come into memory, to be counted
_GROWS_AT_MOST = 100
_SMALL_BYTES = 10 * 1_048_576  # a flat drawing may well shrink to a thousandth
_PIECE_BYTES = 256 * 1024
_IN_MEMORY_BYTES = 64 * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED, _UTF8 = 0x1, 0x800
_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_DRIVE = re.compile(r"[A-Za-z]:")
_OF_SYSTEMS = re.compile(r"(?:^|/)(?:__MACOSX/|\.DS_Store$|\._[^/]*$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,  # zipfile, of a version or a packing that it does not know
    ValueError,  # UnicodeDecodeError, too
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
)


class _Bounded:
    """A file that refuses to be read in large pieces: how long a directory is says the file itself, and it may lie."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= _MOST_READ else _MOST_READ + 1)
        if len(data) > _MOST_READ:
            raise _too_many()
        return data

    def seekable(self) -> bool:
        return True


class Entry:
    """An image of the archive. `name` is its path there."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._info = info
        self.name = _name(info)

    @property
    def size_bytes(self) -> int:
        """As the directory says; it gives no more."""
        return self._info.file_size

    def unpacked(self) -> BinaryIO:
        """
        Its bytes in a temporary file, at the start; the caller closes it.

        Raises:
            AppError: VALIDATION_ERROR on `archive` where it is a ZIP itself; on `image` where it is damaged, which is no fault
                of the others.
        """
        file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))  # noqa: SIM115
        try:
            with self._archive.open(self._info) as packed:
                while piece := packed.read(_PIECE_BYTES):
                    if not file.tell() and piece.startswith(_ZIP):
                        raise _nested(self.name)
                    file.write(piece)
        except AppError:
            file.close()
            raise
        except (*_BROKEN, OSError) as error:
            file.close()
            if not _is_broken(error):
                raise
            issue = "This entry of the archive is damaged; pack it again, or send the picture itself."
            raise invalid("image", issue, Fault.UNREADABLE_FILE) from error
        file.seek(0)
        return file


def read_zip(file: IO[bytes]) -> list[Entry]:
    """
    Look at the directory and give the images in its order; folders and the files that systems add are none.

    Raises:
        AppError: VALIDATION_ERROR on `archive`; PAYLOAD_TOO_LARGE where it unpacks to more than 300 MB.
    """
    try:
        archive = zipfile.ZipFile(cast(IO[bytes], _Bounded(file)))
    except (*_BROKEN, OSError) as error:
        if not _is_broken(error):
            raise
        issue = "The archive cannot be read: it is no ZIP, or it is damaged. Pack the pictures again."
        raise invalid("archive", issue, Fault.UNREADABLE_FILE) from error
    infos = archive.infolist()
    if len(infos) > _MOST_ENTRIES:
        raise _too_many()
    _refuse_overlaps(infos)
    infos = [info for info in infos if not info.filename.endswith("/")]  # is_dir() fails at one without a name
    for info in infos:
        _look_at(info)
    entries = [Entry(archive, info) for info in infos if not _OF_SYSTEMS.search(info.filename)]
    if not entries:
        raise invalid("archive", "There is no image in the archive.", Fault.EMPTY_FILE)
    if len(entries) > MOST_IMAGES:
        raise invalid("archive", f"There are {len(entries)} images in the archive; a batch has at most {MOST_IMAGES}.")
    _refuse_too_much(entries)
    return entries


def _look_at(info: zipfile.ZipInfo) -> None:
    """Raises AppError for an entry that speaks against the whole archive."""
    name = info.filename.replace("\\", "/")
    told = name[:60]
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        raise invalid("archive", f"The path {told} leads out of the archive; pack the pictures with plain paths.")
    if name.lower().endswith(".zip"):
        raise _nested(told)
    if info.flag_bits & _ENCRYPTED:
        raise invalid("archive", "The archive is encrypted; send one without a password.")
    if info.compress_type not in _METHODS:
        raise invalid("archive", f"{told} is packed in a way that is not taken here; pack it stored or deflated.")
    if info.file_size > _SMALL_BYTES and info.file_size > _GROWS_AT_MOST * max(1, info.compress_size):
        raise invalid("archive", f"{told} grows to more than {_GROWS_AT_MOST} times its size; no photo does.")


def _refuse_overlaps(infos: list[zipfile.ZipInfo]) -> None:
    """Entries that share bytes make much of little, too. Raises AppError."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise invalid("archive", "Entries of the archive share their bytes, which no packer does; pack it again.")
        end = info.header_offset + 30 + info.compress_size


def _refuse_too_much(entries: list[Entry]) -> None:
    total = sum(entry.size_bytes for entry in entries)
    if total > MOST_BYTES:
        issue = f"The archive unpacks to {total // 1_048_576} MB; a batch has at most {MOST_BYTES // 1_048_576} MB."
        raise AppError(ErrorCode.PAYLOAD_TOO_LARGE, issue, details=[Detail("archive", issue, Fault.FILE_TOO_LARGE)])


def _is_broken(error: Exception) -> bool:
    """Whether it is the file's fault: one that leads before its own start is refused by the system, as a disk's faults are."""
    return isinstance(error, _BROKEN) or (isinstance(error, OSError) and error.errno == errno.EINVAL)


def _too_many() -> AppError:
    return invalid(
        "archive", f"The archive has more than {_MOST_ENTRIES} entries; a batch has at most {MOST_IMAGES} images."
    )


def _nested(name: str) -> AppError:
    return invalid("archive", f"{name[:60]} is a ZIP in the ZIP; send the pictures themselves.")


def _name(info: zipfile.ZipInfo) -> str:
    """A name that says it is UTF-8 is; of the others many are all the same, whatever the standard says."""
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def entries_of(entries: list[Entry]) -> Iterator[tuple[Entry, BinaryIO | AppError]]:
    """Each entry with its bytes, or with what is wrong with it alone. Raises AppError where it speaks against all."""
    for entry in entries:
        try:
            yield entry, entry.unpacked()
        except AppError as error:
            if any(detail.field == "archive" for detail in error.details):
                raise
            yield entry, error
