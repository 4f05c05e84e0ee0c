"""Addresses that clients give for later: webhooks, and where a result is to be put."""

from __future__ import annotations

from django.conf import settings

from apps.core.errors import AppError, ErrorCode, Fault, invalid
from apps.core.intake.outbound import MAX_URL_CHARS, OutboundError, Refusal, check_address

_LOOKUP_S = 3.0
_ADVICE = {
    Refusal.BAD_URL: f"Send one such as https://shop.example/hooks, of at most {MAX_URL_CHARS} characters.",
    Refusal.CREDENTIALS: "Leave them out; what is sent is signed, or its address is.",
    Refusal.PRIVATE: "Send one that everybody can reach.",
    Refusal.PLAIN: "Send one that begins with https.",
}


def checked_address(field: str, url: str, *, account_id: int) -> str:
    """
    An address that the service will send to: https, or in `FETCH_ALLOW_CIDRS`, and not a private one.

    It takes a look-up, of a few seconds at worst: hold a place of the waiting room.

    Raises:
        AppError: VALIDATION_ERROR on `field`; RATE_LIMITED while too many of the account's addresses are looked up.
    """
    try:
        check_address(
            url, timeout_s=_LOOKUP_S, allow_cidrs=settings.FETCH_ALLOW_CIDRS, caller=account_id, https_only=True
        )
    except OutboundError as error:
        if error.refusal is Refusal.CROWDED:
            raise AppError(ErrorCode.RATE_LIMITED, f"The address {error.refusal.value}.", retry_after_s=5) from error
        fault = Fault.REFUSED_URL if error.refusal is Refusal.PRIVATE else Fault.BAD_URL
        raise invalid(field, f"The address {error.refusal.value}. {_ADVICE[error.refusal]}", fault) from error
    return url
