"""What browsers are told about every answer, and what a request may say of how it came."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core.api.throttles import is_trusted

GetResponse = Callable[[HttpRequest], HttpResponse]
_HEADER = "Content-Security-Policy"
_ALWAYS = "base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
DATA_ONLY = f"default-src 'none'; form-action 'none'; {_ALWAYS}"
"""For answers that are no page: nothing in them runs, loads or is framed."""
ADMIN = (
    # Alpine, which the admin's theme is written with, makes functions of attributes' text: eval. Styles stand in attributes.
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    f"font-src 'self'; connect-src 'self'; form-action 'self'; {_ALWAYS}"
)
DOCS = (
    # Redoc writes its styles into the page, and searches in a worker that it makes of text.
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    f"worker-src blob:; form-action 'none'; {_ALWAYS}"
)


class ContentPolicyMiddleware:
    """A Content-Security-Policy for every answer; a page that needs more than nothing sets its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_admin = request.path_info.startswith("/admin/")
        response.headers.setdefault(_HEADER, ADMIN if is_admin else DATA_ONLY)
        return response


class ForwardedSchemeMiddleware:
    """Forgets `X-Forwarded-Proto` of everybody but our own proxies: with it, plain HTTP would pass for HTTPS."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_trusted(request.META.get("REMOTE_ADDR", "")):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)
