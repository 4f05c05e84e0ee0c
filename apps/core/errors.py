"""Every way in which a request can end badly. A dialect finds the words and the wire form; nothing here knows HTTP bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Self


class ErrorCode(StrEnum):
    """What can go wrong, as a closed list: each has its HTTP status in the envelope, a sentence, and whether to try again."""

    status: int
    sentence: str
    retryable: bool

    @staticmethod
    def _generate_next_value_(name: str, *_: Any) -> str:
        return name

    def __new__(cls, name: str, status: int, sentence: str, retryable: bool) -> Self:
        code = str.__new__(cls, name)
        code._value_, code.status, code.sentence, code.retryable = name, status, sentence, retryable
        return code

    VALIDATION_ERROR = auto(), 400, "The request is not valid.", False
    UNAUTHENTICATED = auto(), 401, "Send a valid API key, as X-Api-Key or as Authorization: Bearer.", False
    INSUFFICIENT_CREDITS = auto(), 402, "The account has too few credits for this call.", False
    PAYMENT_REQUIRED = auto(), 402, "This call must be paid for.", False
    FORBIDDEN = auto(), 403, "This key may not do that.", False
    NOT_FOUND = auto(), 404, "There is nothing at this address.", False
    METHOD_NOT_ALLOWED = auto(), 405, "This address does not take that method.", False
    CONFLICT = auto(), 409, "A request with the same Idempotency-Key is still running.", True
    GONE = auto(), 410, "The result has been deleted.", False
    PAYLOAD_TOO_LARGE = auto(), 413, "The request body is larger than this address takes.", False
    UNSUPPORTED_MEDIA_TYPE = auto(), 415, "Send multipart/form-data or application/json.", False
    IDEMPOTENCY_MISMATCH = auto(), 422, "This Idempotency-Key was used for a different request.", False
    RATE_LIMITED = auto(), 429, "Too many requests.", True
    INTERNAL_ERROR = auto(), 500, "Something went wrong on our side; the request id helps us to find it.", True
    PROCESSING_FAILED = auto(), 502, "The image could not be processed.", True
    PROCESSING_TIMEOUT = auto(), 502, "The image was not ready in time; nothing was charged.", True
    OVERLOADED = auto(), 503, "The service is busy; try again shortly.", True


class Fault(StrEnum):
    """Why a field was refused, finer than `VALIDATION_ERROR`: dialects with codes of their own map these."""

    MISSING = "missing"
    SEVERAL_SOURCES = "several_sources"
    INVALID_VALUE = "invalid_value"
    UNSUPPORTED_VALUE = "unsupported_value"
    EMPTY_FILE = "empty_file"
    FILE_TOO_LARGE = "file_too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNREADABLE_FILE = "unreadable_file"
    RESOLUTION_TOO_HIGH = "resolution_too_high"
    RESOLUTION_TOO_LOW = "resolution_too_low"
    BAD_URL = "bad_url"
    REFUSED_URL = "refused_url"
    DOWNLOAD_FAILED = "download_failed"
    EMPTY_REGION = "empty_region"
    NO_FOREGROUND = "no_foreground"
    NO_GARMENT = "no_garment"


@dataclass(frozen=True)
class Detail:
    """One field and what is wrong with it, in a sentence that a person can act on."""

    field: str
    issue: str
    fault: Fault = Fault.INVALID_VALUE


class AppError(Exception):
    """
    The only exception that crosses from the core to a dialect.

    Args:
        code: what happened.
        message: a sentence for people; the code's own when absent.
        details: the fields at fault.
        retry_after_s: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str | None = None,
        *,
        details: Sequence[Detail] = (),
        retry_after_s: int | None = None,
    ) -> None:
        self.code = code
        self.message = message or code.sentence
        self.details = tuple(details)
        self.retry_after_s = retry_after_s
        super().__init__(f"{code.name}: {self.message}")


def invalid(field: str, issue: str, fault: Fault = Fault.INVALID_VALUE) -> AppError:
    """The `VALIDATION_ERROR` for one field; its sentence is the message as well."""
    return AppError(ErrorCode.VALIDATION_ERROR, issue, details=[Detail(field, issue, fault)])
