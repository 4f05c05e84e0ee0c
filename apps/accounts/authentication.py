"""From the credentials of a request to an Identity."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.models import Account, ApiKey, digest_of
from apps.core.errors import AppError, Detail, ErrorCode, Fault
from apps.core.identity import Identity

_KEY_HEADERS = ("X-Api-Key", "X-RapidAPI-Key", "ailabapi-api-key")
_LONGEST_KEY = 200


class CredentialAuthentication(BaseAuthentication):
    """An API key in any of the headers that our buyers' clients know; two different ones are a 400."""

    def authenticate(self, request: Request) -> tuple[Account, Identity] | None:
        key = _the_one_key(request)
        if key is None:
            return None
        row = self._row_of(key)
        if row is None or not row.is_usable:
            raise AppError(ErrorCode.UNAUTHENTICATED, "This API key is unknown, expired or revoked.")
        return row.account, Identity(
            account_id=row.account_id,
            account_name=row.account.name,
            plan=row.account.plan,
            funding="sandbox" if row.is_sandbox else "credits",
            key_id=row.id,
            scopes=frozenset(row.scopes) or None,
            sandbox=row.is_sandbox,
        )

    def authenticate_header(self, request: Any) -> str:  # noqa: ARG002 - DRF's signature
        return 'Bearer realm="keyline"'

    @staticmethod
    def _row_of(key: str) -> ApiKey | None:
        if len(key) > _LONGEST_KEY:
            return None
        return ApiKey.objects.select_related("account").filter(digest=digest_of(key)).first()


def _the_one_key(request: Request) -> str | None:
    given = {name: request.headers[name].strip() for name in _KEY_HEADERS if name in request.headers}
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme:
        if scheme.lower() != "bearer":
            raise AppError(ErrorCode.UNAUTHENTICATED, "Use Authorization: Bearer with an API key, or X-Api-Key.")
        given["Authorization"] = token.strip()
    keys = set(given.values())
    if len(keys) > 1:
        issue = f"Send one credential; {' and '.join(given)} carry different ones."
        raise AppError(
            ErrorCode.VALIDATION_ERROR,
            issue,
            details=[Detail(name, issue, Fault.INVALID_VALUE) for name in given],
        )
    return keys.pop() if keys else None
