"""From the credentials of a request to an Identity."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts import rapidapi
from apps.accounts.models import Account, ApiKey, Plan, digest_of
from apps.accounts.plans import LIMITS, SANDBOX
from apps.core.errors import AppError, Detail, ErrorCode
from apps.core.identity import Identity
from apps.core.owner import Mode

_KEY_HEADERS = ("X-Api-Key", "X-RapidAPI-Key", "ailabapi-api-key")
_LONGEST_KEY = 200
_USE_NOTED_EVERY = timedelta(minutes=1)


class CredentialAuthentication(BaseAuthentication):
    """The RapidAPI gateway's secret, which wins, or one API key in any header that our buyers' clients know."""

    def authenticate(self, request: Request) -> tuple[Account, Identity] | None:
        if rapidapi.is_gateway(request):
            account = rapidapi.account_of(request)
            consumer, _, _ = request.headers.get("X-Forwarded-For", "").partition(",")
            structlog.contextvars.bind_contextvars(account=account.name, client=consumer.strip()[:64])
            return account, _identity(account, funding="rapidapi", rate_key=f"account:{account.id}")
        key = _the_one_key(request)
        return None if key is None else self._by_key(key)

    def authenticate_header(self, request: Any) -> str:  # noqa: ARG002 - DRF's signature
        return 'Bearer realm="keyline"'

    @staticmethod
    def _by_key(key: str) -> tuple[Account, Identity]:
        rows = ApiKey.objects.select_related("account").filter(digest=digest_of(key))
        row = rows.first() if len(key) <= _LONGEST_KEY else None
        if row is None or not row.is_usable:
            raise AppError(ErrorCode.UNAUTHENTICATED, "This API key is unknown, expired or revoked.")
        _note_use(row)
        funding = "sandbox" if row.is_sandbox else "credits"
        scopes = frozenset(row.scopes) or None
        identity = _identity(
            row.account,
            funding=funding,
            rate_key=f"key:{row.id}",
            scopes=scopes,
            mode=Mode.SANDBOX if row.is_sandbox else Mode.LIVE,
            key_prefix=row.prefix,
        )
        return row.account, identity


def _identity(account: Account, *, mode: Mode = Mode.LIVE, **facts: Any) -> Identity:
    return Identity(
        account_id=account.id,
        account_name=account.name,
        plan=account.plan,
        limits=SANDBOX if mode is Mode.SANDBOX else LIMITS[Plan(account.plan)],
        mode=mode,
        **facts,
    )


def _note_use(row: ApiKey) -> None:
    """Keep when the key was last used, to the minute: a write for every request would be a row lock for every request."""
    before = timezone.now() - _USE_NOTED_EVERY
    if row.last_used_at is None or row.last_used_at < before:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=before)
        ApiKey.objects.filter(stale, id=row.id).update(last_used_at=timezone.now())


def _the_one_key(request: Request) -> str | None:
    """The one key that all headers agree on; "" where they are all empty, None without any. A header sent twice comes joined."""
    given = [(name, key.strip()) for name in _KEY_HEADERS for key in request.headers.get(name, "").split(",")]
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme:
        if scheme.lower() != "bearer":
            raise AppError(ErrorCode.UNAUTHENTICATED, "Use Authorization: Bearer with an API key, or X-Api-Key.")
        given.append(("Authorization", token.strip()))
    keys = {key for _, key in given if key}
    if len(keys) > 1:
        names = list(dict.fromkeys(name for name, key in given if key))
        issue = f"Send one credential; {' and '.join(names)} carry different ones."
        raise AppError(ErrorCode.VALIDATION_ERROR, issue, details=[Detail(name, issue) for name in names])
    if keys:
        return keys.pop()
    return "" if scheme or any(name in request.headers for name in _KEY_HEADERS) else None
