"""One try: what is sent to a webhook, how it is signed, and what counts as success."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from django.conf import settings

from apps.core.answers import as_json
from apps.core.happenings import told_of
from apps.core.intake.outbound import OutboundError, send
from apps.core.results import iso
from apps.core.sealing import SealBrokenError, unseal
from apps.webhooks.models import TEST, Event, Webhook

LIMIT_S = 15.0
"""For everything together, the answer's body too."""
MOST_ANSWER_BYTES = 64 * 1024
_CHUNK = 16 * 1024
_GONE = 410


@dataclass(frozen=True)
class Attempt:
    """
    What came of one try.

    Args:
        status: of the answer; None where there was none.
        error: why it is no success, in a sentence; None where it is one.
    """

    at: datetime
    ms: int
    status: int | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        return self.error is None

    @property
    def says_gone(self) -> bool:
        """The receiver wants no more, ever."""
        return self.status == _GONE

    def to_json(self) -> dict[str, Any]:
        return {"at": iso(self.at), "httpStatus": self.status, "ms": self.ms, "error": self.error}


class NothingToTellError(Exception):
    """What the event is about was deleted by its owner."""


def attempt(webhook: Webhook, event: Event) -> Attempt:
    """Send the event once, whatever comes of it. Raises NothingToTellError."""
    body = body_of(event)
    at, began = datetime.now(UTC), time.monotonic()
    status, error = None, None
    try:
        headers = {"Content-Type": "application/json", **signed(webhook, event, body, at=at)}
        with send(
            "POST",
            webhook.url,
            timeout_s=LIMIT_S,
            allow_cidrs=settings.FETCH_ALLOW_CIDRS,
            headers=headers,
            body=body.encode(),
            caller=f"webhook:{webhook.id}",
            https_only=True,
        ) as response:
            status = response.status_code
            error = _fault_of(response)
    except OutboundError as refused:
        error = f"The address {refused.refusal.value}."
    except SealBrokenError:
        error = "The webhook's secret cannot be read any more: rotate it."
    return Attempt(at, round((time.monotonic() - began) * 1000), status, error)


def body_of(event: Event) -> str:
    """`{"type", "timestamp", "data"}`; the data as it stands now. Raises NothingToTellError."""
    data = event.data
    if data is None:
        told = told_of(event.type, event.subject_id)
        if told is None:
            raise NothingToTellError
        data = as_json(told)
    return json.dumps({"type": event.type, "timestamp": iso(event.created_at), "data": data}, separators=(",", ":"))


def signed(webhook: Webhook, event: Event, body: str, *, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks, signed with every secret that is good now. Raises SealBrokenError."""
    from standardwebhooks import Webhook as Signer  # here: what sends nothing starts without the library

    event_id = str(event.id)
    signatures = [Signer(secret).sign(event_id, at, body) for secret in secrets_of(webhook, at=at)]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def secrets_of(webhook: Webhook, *, at: datetime) -> list[str]:
    """The secret, and the one before while it lasts. Raises SealBrokenError."""
    sealed = [webhook.sealed_secret]
    if webhook.sealed_previous and webhook.previous_until and webhook.previous_until > at:
        sealed.append(webhook.sealed_previous)
    return [unseal(each) for each in sealed]


def test_event(webhook: Webhook) -> Event:
    """What `POST .../test` sends; not saved."""
    return Event(
        account_id=webhook.account_id,
        type=TEST,
        subject_id=str(webhook.id),
        data={"webhookId": str(webhook.id)},
        created_at=datetime.now(UTC),
    )


def _fault_of(response: requests.Response) -> str | None:
    """Why an answer is no success; a small one is read to its end, so that the receiver is not cut off."""
    status = response.status_code
    if 300 <= status < 400:
        return "The address answers with a redirect, which is not followed: give the address that it leads to."
    declared = response.headers.get("Content-Length", "")
    is_large = declared.isascii() and declared.isdigit() and int(declared[:20]) > MOST_ANSWER_BYTES
    size = 0
    while not is_large and (chunk := response.raw.read(_CHUNK, decode_content=False)):
        size += len(chunk)
        is_large = size > MOST_ANSWER_BYTES
    if is_large:
        return "The answer is larger than 64 KB: answer with a status and little else."
    return None if 200 <= status < 300 else f"The address answers with status {status}."
