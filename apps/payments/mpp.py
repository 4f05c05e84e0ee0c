"""
MPP on the wire: the challenge, the credential, the receipt, the problems.

A challenge is not kept: its id is an HMAC over all that binds it, so any web process can check what any other wrote.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from msgspec import UNSET, UnsetType

from apps.core.answers import Part, Url, Uuid, about
from apps.core.dialects.raw import RawFault
from apps.payments.rails import MppRail

SCHEME = "Payment"
METHOD, INTENT = "tempo", "charge"
DESCRIPTION = "Remove the background of one image"
CHALLENGE_TTL = timedelta(minutes=10)
MOST_CREDENTIAL_CHARS = 16 * 1024
PROBLEM_TYPE = "application/problem+json"
PROBLEMS = "https://paymentauth.org/problems/"
_ECHOED = ("id", "realm", "method", "intent", "request", "expires", "digest", "opaque")


class CredentialError(Exception):
    """
    A credential that is refused before any money has moved.

    Args:
        problem: the last part of the problem's type.
    """

    def __init__(self, problem: str, detail: str) -> None:
        self.problem = problem
        super().__init__(detail)


@dataclass(frozen=True)
class Challenge:
    """What we asked for, as the client echoes it: every member is text, `request` and `opaque` still encoded."""

    id: str
    realm: str
    method: str
    intent: str
    request: str
    expires: str
    digest: str
    opaque: str

    @property
    def terms(self) -> dict[str, Any]:
        """Amount, currency, recipient and chain. Raises ValueError for what we never wrote."""
        return _decoded(self.request)

    @property
    def amount(self) -> int:
        return int(self.terms["amount"])

    @property
    def expires_at(self) -> datetime:
        return datetime.fromisoformat(self.expires)

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= datetime.now(UTC)


@dataclass(frozen=True)
class Credential:
    """A challenge and what pays for it: `transaction` (signed, for us to broadcast) or `hash` (broadcast by the client)."""

    challenge: Challenge
    kind: str
    value: str


# --- the challenge ------------------------------------------------------------------------------------------


def route_of(request: HttpRequest) -> str:
    """What a challenge is bound to: method, path and query."""
    return f"{request.method} {request.get_full_path()}"


def digest_of(body_sha256: bytes) -> str:
    """The body's digest in the form that both client libraries write."""
    return f"sha-256={base64.b64encode(body_sha256).decode()}"


def new_challenge(rail: MppRail, *, amount: int, route: str, body_sha256: bytes) -> Challenge:
    """A fresh challenge for this body on this route."""
    terms = {
        "amount": str(amount),
        "currency": rail.currency,
        "methodDetails": {"chainId": rail.chain_id},
        "recipient": rail.recipient,
    }
    opaque = {"_mpp_nonce": secrets.token_hex(32), "route": route}
    expires = (datetime.now(UTC) + CHALLENGE_TTL).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    unsigned = Challenge(
        id="", realm=rail.realm, method=METHOD, intent=INTENT, request=_encoded(terms), expires=expires,
        digest=digest_of(body_sha256), opaque=_encoded(opaque),
    )  # fmt: skip
    return Challenge(**{**vars(unsigned), "id": _id_of(unsigned, settings.MPP_SECRETS[0])})


def www_authenticate(challenge: Challenge) -> str:
    """The challenge as a header's value."""
    members = {**vars(challenge), "description": DESCRIPTION}
    return f"{SCHEME} " + ", ".join(f'{name}="{value}"' for name, value in members.items())


class PaymentProblem(Part):
    """Why an MPP payment was refused (RFC 9457)."""

    type: Url
    title: str
    status: int
    detail: str
    challenge_id: str | UnsetType = UNSET
    error: Annotated[RawFault, about("What is wrong with the request, where it is not the payment.")] | UnsetType = (
        UNSET
    )
    request_id: Uuid | UnsetType = UNSET


def problem(kind: str, *, status: int, detail: str, challenge_id: str = "") -> PaymentProblem:
    """RFC 9457's body."""
    title = kind.replace("-", " ").title()
    told = challenge_id or UNSET
    return PaymentProblem(type=f"{PROBLEMS}{kind}", title=title, status=status, detail=detail, challenge_id=told)


def receipt(*, transaction: str, currency: str, at: datetime) -> dict[str, Any]:
    """What Payment-Receipt says."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "method": METHOD, "reference": transaction, "status": "success", "timestamp": moment, "fundingCurrency": currency,
    }  # fmt: skip


def encode_receipt(said: dict[str, Any]) -> str:
    return _encoded(said)


# --- the credential -----------------------------------------------------------------------------------------


def is_payment(authorization: str) -> bool:
    """Whether an Authorization header speaks MPP."""
    return authorization.strip().partition(" ")[0].lower() == SCHEME.lower()


def read_credential(authorization: str) -> Credential:
    """
    Parse the header; nothing in it is believed yet.

    Raises:
        CredentialError: malformed-credential, or bad-request for two at once.
    """
    text = authorization.strip().partition(" ")[2].strip()
    if "," in text:
        raise CredentialError("bad-request", "Send one Payment credential.")
    try:
        credential = _parsed(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        issue = "The credential must be base64url of JSON with challenge and payload."
        raise CredentialError("malformed-credential", issue) from error
    if not credential.value:
        raise CredentialError("invalid-payload", "Pay by a signed transaction or by the hash of one.")
    return credential


def _parsed(text: str) -> Credential:
    if len(text) > MOST_CREDENTIAL_CHARS:
        raise ValueError("too long")
    said = _decoded(text)
    echoed, payload = said["challenge"], said["payload"]
    members = {name: echoed.get(name, "") for name in _ECHOED}
    kind = payload["type"]
    value = payload["signature"] if kind == "transaction" else payload["hash"] if kind == "hash" else ""
    "".join([*members.values(), kind, value]).encode()  # text, and no half of a surrogate pair
    return Credential(Challenge(**members), kind, value.lower())


def check_challenge(credential: Credential, rail: MppRail, *, route: str, body_sha256: bytes) -> None:
    """
    Whether we wrote this challenge, for this very request; not whether it has expired.

    Raises:
        CredentialError: invalid-challenge.
    """
    challenge = credential.challenge
    ids = [_id_of(challenge, secret) for secret in settings.MPP_SECRETS]
    if sum(hmac.compare_digest(challenge.id.encode(), each.encode()) for each in ids) == 0:
        raise CredentialError("invalid-challenge", "This challenge is not one of ours, or it was changed.")
    terms = challenge.terms
    ours = (rail.realm, METHOD, INTENT, rail.currency, rail.recipient, rail.chain_id)
    theirs = (challenge.realm, challenge.method, challenge.intent, terms["currency"], terms["recipient"],
              terms["methodDetails"]["chainId"])  # fmt: skip
    if ours != theirs or _decoded(challenge.opaque)["route"] != route:
        raise CredentialError("invalid-challenge", "This challenge was written for another request.")
    if not hmac.compare_digest(challenge.digest, digest_of(body_sha256)):
        raise CredentialError("invalid-challenge", "The body differs from the one that the challenge was written for.")


def _id_of(challenge: Challenge, secret: str) -> str:
    bound = "|".join([challenge.realm, challenge.method, challenge.intent, challenge.request, challenge.expires,
                      challenge.digest, challenge.opaque])  # fmt: skip
    return _base64url(hmac.new(secret.encode(), bound.encode(), hashlib.sha256).digest())


def _encoded(value: dict[str, Any]) -> str:
    """base64url, without padding, of JSON as RFC 8785 orders it (our members are ASCII text and small numbers)."""
    return _base64url(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> dict[str, Any]:
    said = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    if not isinstance(said, dict):
        raise TypeError("no object")
    return said
