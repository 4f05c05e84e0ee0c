"""A client's URL, fetched into a spooled file: http(s), public hosts, bounded in bytes, seconds and memory."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Sequence
from typing import BinaryIO, cast

import requests

from apps.core.errors import AppError, ErrorCode, Fault, invalid
from apps.core.intake.outbound import MAX_URL_CHARS, Network, OutboundError, Refusal, send
from apps.core.pictures.inspection import too_large

SPOOL_BYTES = 1024 * 1024  # more than this goes to disk
_CHUNK_BYTES = 64 * 1024
_FAULTS = {
    Refusal.BAD_URL: Fault.BAD_URL,
    Refusal.CREDENTIALS: Fault.BAD_URL,
    Refusal.PRIVATE: Fault.REFUSED_URL,
}

_ADVICE = {
    Refusal.BAD_URL: f"Send one such as https://shop.example/photo.jpg, of at most {MAX_URL_CHARS} characters.",
    Refusal.CREDENTIALS: "Leave them out; sign the address instead.",
    Refusal.PRIVATE: "Send one that everybody can reach, or the picture itself.",
    Refusal.PLAIN: "Send one that begins with https.",
    Refusal.TOO_SLOW: "Try again, or send the picture itself.",
    Refusal.CERTIFICATE: "Renew the certificate, or send the picture itself.",
    Refusal.FAILED: "See whether it opens in a browser, or send the picture itself.",
}


def fetch_image(
    url: str,
    *,
    max_bytes: int,
    timeout_s: float = 10,
    allow_cidrs: Sequence[Network] = (),
    field: str = "image_url",
    caller: Hashable = None,
) -> BinaryIO:
    """
    Fetch a URL. What comes back is not looked at: inspect it.

    Args:
        max_bytes: of the body; one byte more refuses it.
        timeout_s: for everything together; connecting alone has 3 s.
        allow_cidrs: networks that may be reached although they are not public.
        field: the request's field, for the error.
        caller: whose fetches are counted together: one has `outbound.PLACES_OF_ONE` at once.

    Returns:
        A spooled file at its start; the caller closes it.

    Raises:
        AppError: `VALIDATION_ERROR` on `field`; the fault is `BAD_URL`, `REFUSED_URL` (not a public host, or a
            redirect), `DOWNLOAD_FAILED` or `FILE_TOO_LARGE`. RATE_LIMITED while the caller has no place.
    """
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115  the caller closes it
    try:
        with send("GET", url, timeout_s=timeout_s, allow_cidrs=allow_cidrs, caller=caller) as response:
            _check_answer(response, max_bytes=max_bytes, field=field)
            _copy(response, file, max_bytes=max_bytes, field=field)
    except OutboundError as error:
        file.close()
        if error.refusal is Refusal.CROWDED:
            raise AppError(ErrorCode.RATE_LIMITED, f"The address {error.refusal.value}.", retry_after_s=5) from error
        fault = _FAULTS.get(error.refusal, Fault.DOWNLOAD_FAILED)
        raise invalid(field, f"The address {error.refusal.value}. {_ADVICE[error.refusal]}", fault) from error
    except AppError:
        file.close()
        raise
    file.seek(0)
    return file


def _check_answer(response: requests.Response, *, max_bytes: int, field: str) -> None:
    status = response.status_code
    if 300 <= status < 400:
        issue = "The address answers with a redirect, which is not followed. Send the address that it leads to."
        raise invalid(field, issue, Fault.REFUSED_URL)
    if status != 200:
        issue = f"The address answers with status {status} instead of 200. Let everybody read it, or send the picture itself."
        raise invalid(field, issue, Fault.DOWNLOAD_FAILED)
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        issue = "The address answers with a compressed body although none was asked for. Send the picture itself."
        raise invalid(field, issue, Fault.DOWNLOAD_FAILED)
    declared = response.headers.get("Content-Length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > max_bytes:
        raise too_large(field, int(declared[:20]), max_bytes=max_bytes)


def _copy(response: requests.Response, file: BinaryIO, *, max_bytes: int, field: str) -> None:
    size = 0
    while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
        size += len(chunk)
        if size > max_bytes:
            raise too_large(field, None, max_bytes=max_bytes)
        file.write(chunk)
