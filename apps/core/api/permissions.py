"""Who may call at all."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission

from apps.core.errors import AppError, ErrorCode


class IsIdentified(BasePermission):
    """A right credential, and a scope that covers the route's operation."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if request.auth is None:
            raise AppError(ErrorCode.UNAUTHENTICATED)
        operation = getattr(view, "operation", None)
        if operation is not None and not request.auth.may_use(operation.slug):
            raise AppError(ErrorCode.FORBIDDEN, f"This key's scopes do not include {operation.slug}.")
        return True
