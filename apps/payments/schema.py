"""The paid address in the OpenAPI document: its price by draft-payment-discovery-00, and its 402."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.responses import headers, json_content
from apps.core.openapi.schemas import schema_of
from apps.core.operations import Operation
from apps.payments.funding import MICROS_PER_CREDIT
from apps.payments.models import Rail
from apps.payments.mpp import PROBLEM_TYPE, PaymentProblem
from apps.payments.rails import PATH_USD, rails_on, x402_rail
from apps.payments.x402 import PaymentRequired

_CHALLENGE_HEADERS = {
    "PAYMENT-REQUIRED": "x402 version 2: base64 of JSON.",
    "WWW-Authenticate": "MPP: Payment, with its challenge.",
    "PAYMENT-RESPONSE": "x402 version 2: why the payment was refused.",
    "X-PAYMENT-RESPONSE": "x402 version 1: the same.",
}
_RECEIPT_HEADERS = {
    "PAYMENT-RESPONSE": "x402 version 2: the receipt.",
    "X-PAYMENT-RESPONSE": "x402 version 1: the receipt.",
    "Payment-Receipt": "MPP: the receipt.",
}


def with_payment(described: dict[str, Any], operation: Operation) -> dict[str, Any]:
    """The same operation, payable without an account."""
    amount = str(operation.price_credits * MICROS_PER_CREDIT)
    about = (
        "A key with credits, or a payment with the request: x402 (X-PAYMENT, PAYMENT-SIGNATURE) or MPP (Authorization: "
        "Payment). Ask without either to get the challenge; docs/payments.md shows clients that do it by themselves."
    )
    responses = described["responses"]
    success, refused = responses["200"], responses["402"]
    problem = {PROBLEM_TYPE: {"schema": schema_of(PaymentProblem)}}
    responses |= {
        "200": {**success, "headers": success["headers"] | headers(_RECEIPT_HEADERS)},
        "402": {
            **refused,
            "headers": refused["headers"] | headers(_CHALLENGE_HEADERS),
            "content": json_content(PaymentRequired),
        },
    }
    for status, told in responses.items():
        if int(status) >= 400:  # in answer to Authorization: Payment
            told["content"] = {**told["content"], **problem}
    return described | {
        "description": about,
        "security": [*described["security"], {}],
        "responses": responses,
        "x-payment-info": {"offers": _offers(amount)},
    }


def _offers(amount: str) -> list[dict[str, Any]]:
    """Advisory: what the 402 says counts."""
    title = "Remove the background of one image"
    offers: list[dict[str, Any]] = []
    if Rail.MPP in rails_on():
        offers.append(
            {"intent": "charge", "method": "tempo", "amount": amount, "currency": PATH_USD, "description": title}
        )
    if Rail.X402 in rails_on():
        asset = x402_rail().network.asset
        offers.append({"intent": "charge", "method": "x402", "amount": amount, "currency": asset, "description": title})
    return offers or [
        {"intent": "charge", "method": "tempo", "amount": None, "currency": PATH_USD, "description": title}
    ]
