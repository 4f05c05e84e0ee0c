"""The door: asks a view by the headers alone whether it will read the body, before the body is received."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error, connection
from django.urls import Resolver404, resolve

from apps.core.api.terms import SHORT, Terms
from apps.core.errors import AppError

_THREADS = 8  # a look at a key's row takes a millisecond


class Door:
    """`terms_of`, in threads of its own, since it asks the database: requests that wait hold up nobody here."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="door")

    async def __call__(self, environ: dict[str, Any]) -> Terms | None:
        within = contextvars.copy_context()  # what the check binds for log lines ends with it
        return await asyncio.get_running_loop().run_in_executor(self._threads, within.run, terms_of, environ)


def terms_of(environ: dict[str, Any]) -> Terms | None:
    """
    On what terms this request's body is taken; None where the application will refuse it unread.

    Pages that are no endpoint (the admin) take little (64 KB), and that from anybody, but fast.
    """
    try:
        callback = resolve(environ["PATH_INFO"]).func
    except Resolver404:
        return None
    view: Any = getattr(callback, "cls", None)
    options: dict[str, Any] = getattr(callback, "initkwargs", {})
    if not hasattr(view, "terms"):
        return Terms(SHORT)
    try:
        terms: Terms | None = view(**options).terms(WSGIRequest(environ))
    except (AppError, Error, SuspiciousOperation):  # the application says it better
        return None
    finally:
        connection.close()
    return terms
