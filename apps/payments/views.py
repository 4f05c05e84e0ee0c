"""The paid address: a key with credits, or a payment with the request."""

from __future__ import annotations

import contextlib
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from apps.accounts.rapidapi import is_gateway
from apps.core import idempotency
from apps.core.api.fields import is_dry_run
from apps.core.api.public_address import absolute
from apps.core.api.raw import Body, RawOperationView, is_other_type
from apps.core.api.terms import BRISK, QUOTA, Share, Terms
from apps.core.api.throttles import client_network, refuse_in_crowd
from apps.core.broker import BrokerAwayError
from apps.core.errors import Fault, invalid
from apps.core.funding import funding_named
from apps.core.limits import Quota, count_request, counted_requests, refuse_if_exceeded, uncount_request
from apps.core.request_facts import facts_of
from apps.payments import keys, mpp, x402
from apps.payments.challenge import challenge, payment_required
from apps.payments.funding import MICROS_PER_CREDIT
from apps.payments.models import Rail
from apps.payments.mpp_desk import answer_first, pay_by_mpp
from apps.payments.rails import rails_for
from apps.payments.visit import Visit, refuse_without_worker
from apps.payments.x402_desk import pay_by_x402

_KEY_HEADERS = ("X-Api-Key", "X-RapidAPI-Key", "ailabapi-api-key")
_LEAST_KEY_CHARS = 16
_BODIES_OF_ONE = 16
_STRANGERS = Share("strangers", 64, is_common=True)  # 1.6 GB on disk at most
_EXPOSED = (
    "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, WWW-Authenticate, Payment-Receipt, Retry-After, X-Request-Id, "
    "X-Job-Id, X-Width, X-Height, X-Foreground-Top, X-Foreground-Left, X-Foreground-Width, X-Foreground-Height, X-Warnings, "
    "Server-Timing, RateLimit, RateLimit-Policy, Idempotency-Replayed"
)
_ALLOWED = (
    "Content-Type, X-PAYMENT, PAYMENT-SIGNATURE, Authorization, Accept, Accept-Payment, Idempotency-Key, X-Api-Key, "
    "Access-Control-Expose-Headers"  # some x402 clients send that one with their request
)


class PaidOperationView(RawOperationView):
    """`POST` raw bytes, paid per call."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "OPTIONS":
            return _preflight()
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        patch_vary_headers(response, ["Authorization", "X-PAYMENT", "PAYMENT-SIGNATURE"])
        return response

    def extend_schema(self, described: dict[str, Any]) -> dict[str, Any]:
        """The operation of the OpenAPI document, with its price and its 402."""
        from apps.payments.schema import with_payment  # only /openapi.json needs it

        return with_payment(described, self.operation)

    def perform_authentication(self, request: Request) -> None:
        """A key as everywhere else; without one, what the address of the caller may still ask for."""
        rail, has_key = _rail_of(request), _has_key(request)
        if rail and has_key:
            raise invalid("Authorization", "Send a key or a payment, not both.", Fault.SEVERAL_SOURCES)
        if has_key or not rails_for(request._request):
            super().perform_authentication(request)
            return
        request.user, request.auth = cast(Any, None), None
        self._refuse_too_many(request, pays=rail is not None)
        facts_of(request).pays = rail is not None

    def terms(self, request: HttpRequest) -> Terms | None:
        """
        Without a key the whole photo is read before anybody is asked to pay. So what limits such callers is done here, by the
        headers: the request is counted, few of one address and not many in all may be on their way at once, and in short time.
        """
        asked = Request(request)
        if _has_key(asked) or not rails_for(request):
            return super().terms(request)
        rail = _rail_of(asked)
        if request.method != "POST" or _declared(request) > self.operation.body_cap_bytes:
            return None
        self._refuse_too_many(asked, pays=rail is not None)
        if is_other_type(asked):
            return None
        shares = (Share(f"stranger:{client_network(request)}", _BODIES_OF_ONE), _STRANGERS)
        return Terms(BRISK, shares, until_answered=False)

    def check_permissions(self, request: Request) -> None:
        if _has_key(request) or not rails_for(request._request):
            super().check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        if request.auth is not None:
            super().check_throttles(request)

    def post(self, request: Request) -> HttpResponse:
        if request.auth is not None:
            return super().post(request)
        return self._without_key(request)

    def finalize_response(  # type: ignore[override]  # DRF says Response; our views answer with Django's
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        answer: HttpResponse = super().finalize_response(request, response, *args, **kwargs)
        if facts_of(request).pays:
            _count_outcome(request, answer)
        return answer

    def _without_key(self, request: Request) -> HttpResponse:
        body = self.read_body(request)
        rail = _rail_of(request)
        if rail is None and body.size_bytes == 0:  # a program that looks what it costs
            return self._challenge(request)
        visit = self._visit(request, body)
        if is_dry_run(request):
            return self.dialect.quote(visit.price_credits, request._request)
        if rail == Rail.MPP:
            return pay_by_mpp(visit, request.headers["Authorization"])
        if rail == Rail.X402 and (paid := x402.read_payment(request._request)) is not None:
            return pay_by_x402(visit, paid)
        if visit.idempotency_key and (first := keys.first_of(visit.idempotency_key, fingerprint=visit.fingerprint)):
            return answer_first(visit, first)
        refuse_without_worker()
        return payment_required(visit)

    def _visit(self, request: Request, body: Body) -> Visit:
        params = self.raw_params(request)
        key = idempotency.read_key(request._request)
        if key is not None and len(key) < _LEAST_KEY_CHARS:
            issue = f"Without an account use a key of at least {_LEAST_KEY_CHARS} characters, such as a UUID: it is yours alone."
            raise invalid("Idempotency-Key", issue)
        upload = self.open_body(request, body)
        price = self._price()
        return Visit(request, self.operation, params, upload, body.sha256, price, price * MICROS_PER_CREDIT, key)

    def _challenge(self, request: Request) -> HttpResponse:
        return challenge(
            rails=rails_for(request._request),
            amount=self._price() * MICROS_PER_CREDIT,
            url=absolute(request._request),
            route=mpp.route_of(request._request),
            error="Payment required",
        )

    def _price(self) -> int:
        return funding_named(Rail.X402.value).price(self.operation)

    def _refuse_too_many(self, request: Request, *, pays: bool) -> None:
        """Unpaid requests count at once; payments count when they are refused. Raises AppError(RATE_LIMITED)."""
        limit, address = settings.UNPAID_PER_MINUTE, client_network(request._request)
        if pays:
            used, resets_in_s = counted_requests(f"refused:{address}")
            refuse_if_exceeded(Quota(limit=limit, used=used + 1, resets_in_s=resets_in_s))
        else:
            quota = request.META.get(QUOTA) or count_request(f"unpaid:{address}", limit=limit)
            facts_of(request).quota = request.META[QUOTA] = quota
            refuse_if_exceeded(quota)
        refuse_in_crowd(request._request)


def _declared(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else 0


def _rail_of(request: Request) -> Rail | None:
    """The rail of the payment that the request carries, where this host offers it."""
    offered = rails_for(request._request)
    has_x402 = any(name in request.headers for name in x402.HEADERS.values())
    has_mpp = mpp.is_payment(request.headers.get("Authorization", ""))
    if has_x402 and has_mpp and len(offered) > 1:
        raise invalid("Authorization", "Send one payment, by x402 or by MPP.", Fault.SEVERAL_SOURCES)
    if has_mpp and Rail.MPP in offered:
        return Rail.MPP
    return Rail.X402 if has_x402 and Rail.X402 in offered else None


def _has_key(request: Request) -> bool:
    authorization = request.headers.get("Authorization", "")
    bears = bool(authorization.strip()) and not mpp.is_payment(authorization)
    return bears or any(name in request.headers for name in _KEY_HEADERS) or is_gateway(request._request)


def _count_outcome(request: Request, response: HttpResponse) -> None:
    """
    A payment that is refused, or that gets its result for nothing, counts against its address; one that moves money gives
    back the request that asked for the price, once: its repetitions do neither.
    """
    address, is_paid = client_network(request._request), facts_of(request).has_paid
    if is_paid:
        uncount_request(f"unpaid:{address}")
    elif is_paid is False or response.status_code in {400, 402, 403, 413, 415}:
        with contextlib.suppress(BrokerAwayError):  # the answer stands; the next request is refused anyway
            count_request(f"refused:{address}", limit=settings.UNPAID_PER_MINUTE)


def _preflight() -> HttpResponse:
    return HttpResponse(
        status=204,
        headers={
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "POST, OPTIONS",
            "Access-Control-Allow-Headers": _ALLOWED,
            "Access-Control-Expose-Headers": _EXPOSED,
            "Access-Control-Max-Age": "600",
            "Allow": "POST, OPTIONS",
        },
    )
