"""The `webhooks` section of the OpenAPI document: what is sent to customers, described by whoever announces it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from apps.core.answers import Moment, Part
from apps.core.openapi.responses import json_content

Data = TypeVar("Data")
_HEADERS = {
    "webhook-id": "The event's id, the same at every try: what was dealt with once need not be dealt with again.",
    "webhook-timestamp": "When this try was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; two of them, with a space between, for a "
    "day after a rotation.",
}
_sections: dict[str, dict[str, Any]] = {}


class Event(Part, Generic[Data]):
    """What happened."""

    type: str
    timestamp: Moment
    data: Data


def register_news(kind: str, summary: str, data: type[Part]) -> None:
    """
    Describe a type of news; called once by the service that announces it, when it starts.

    Args:
        data: the class of what is told.
    """
    _sections[kind] = {
        "operationId": "on_" + kind.replace(".", "_"),
        "summary": summary,
        "description": "Signed as Standard Webhooks says (webhooks of `POST /v1/webhooks`). Any 2xx within 15 s is success; "
        "else it is sent again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h. Redirects are not followed.",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": about, "schema": {"type": "string"}}
            for name, about in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": json_content(Event[data])},  # type: ignore[valid-type]
        "responses": {
            "204": {"description": "Taken"},
            "410": {"description": "No more of it, ever: the webhook is disabled"},
        },
    }


def news() -> dict[str, Any]:
    """The section, by type."""
    return {kind: {"post": section} for kind, section in sorted(_sections.items())}
