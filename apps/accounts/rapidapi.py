"""The RapidAPI gateway: nothing that it says is believed without its secret, and everything with it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.accounts.models import Account, Plan
from apps.core.errors import AppError, ErrorCode, invalid
from apps.core.request_facts import facts_of

_USER = re.compile(r"[\x21-\x7e]{1,80}")


def is_gateway(request: HttpRequest) -> bool:
    """Whether the request carries one of the configured proxy secrets; every secret is compared, in constant time."""
    given = request.headers.get("X-RapidAPI-Proxy-Secret", "").encode()
    matches = [hmac.compare_digest(given, secret.encode()) for secret in settings.RAPIDAPI_SECRETS]
    return bool(given) and any(matches)


def account_of(request: HttpRequest) -> Account:
    """
    The account of `X-RapidAPI-User`, made on first sight, on the plan of `X-RapidAPI-Subscription`.

    Raises:
        AppError: no usable user name, or the account is locked.
    """
    user = request.headers.get("X-RapidAPI-User", "").strip()
    if not _USER.fullmatch(user):
        raise invalid("X-RapidAPI-User", "The gateway must name the user in 1 to 80 visible ASCII characters.")
    told = request.headers.get("X-RapidAPI-Subscription", "").strip().upper()
    plan = Plan(told) if told in Plan.values and told != Plan.FREE else Plan.BASIC
    account, _ = Account.objects.get_or_create(name=f"rapidapi:{user}", defaults={"plan": plan})
    if account.plan != plan:
        Account.objects.filter(id=account.id).update(plan=plan)
        account.plan = plan
    if not account.is_active:
        raise AppError(ErrorCode.UNAUTHENTICATED, "This account is locked.")
    return account


class BillingHeaderMiddleware:
    """Tells the gateway what to bill: the credits of this answer, 0 for errors, polls, replays and free results."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if is_gateway(request):
            response.headers["X-RapidAPI-Billing"] = f"Credits={facts_of(request).billed_credits}"
        return response
