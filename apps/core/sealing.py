"""
What has to be read again but not by whoever sees the rows: secrets of webhooks, presigned addresses.

Sealed with Fernet (AES-128-CBC and HMAC-SHA256) under a key made from `SECRETS_KEY`; `SECRETS_KEY_PREVIOUS` still opens what was
sealed before a change.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class SealBrokenError(Exception):
    """It was sealed under a key that is not among the settings any more, or is no seal of ours."""


def seal(text: str) -> str:
    """The text as a token of ASCII characters."""
    return _box(tuple(settings.SECRETS_KEYS)).encrypt(text.encode()).decode()


def unseal(token: str) -> str:
    """Raises SealBrokenError."""
    from cryptography.fernet import InvalidToken

    try:
        return _box(tuple(settings.SECRETS_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise SealBrokenError from error


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    """
    Fernet keys are 32 bytes; ours are random words of any length, so a plain hash is enough of a derivation.

    The import is 7 MB of memory, which a process that never seals need not have.
    """
    from cryptography.fernet import Fernet, MultiFernet

    digests = [hashlib.sha256(b"keyline seals:" + key.encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
