"""`GET /v1/account` and `GET /v1/usage`."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.billing.models import UsageDay
from apps.billing.usage import usage_between
from apps.core.api.views import EndpointView
from apps.core.dialects.envelope import envelope, usd
from apps.core.dialects.removebg import REMOVEBG
from apps.core.errors import invalid
from apps.core.funding import funding_named
from apps.core.operations import all_operations
from apps.core.owner import Mode

_LONGEST_SPAN = timedelta(days=366)


class AccountView(EndpointView):
    """Plan, credits, limits and prices of the caller's account."""

    def get(self, request: Request) -> HttpResponse:
        identity = request.auth
        funding = funding_named(identity.funding)
        credits = funding.credits(identity.account_id)
        prices = {each.slug: funding.price(each) for operation in all_operations() for each in operation.price_list}
        limits = identity.limits
        return envelope(
            request,
            data={
                "account": identity.account_name,
                "plan": identity.plan,
                "sandbox": identity.mode is Mode.SANDBOX,
                "credits": None if credits is None else {"balance": credits.balance, "held": credits.held},
                "limits": {"requestsPerMinute": limits.requests_a_minute, "jobsAtOnce": limits.jobs_at_once},
                "prices": {slug: {"credits": price, "usd": usd(price)} for slug, price in prices.items()},
            },
        )


class RemoveBgAccountView(EndpointView):
    """The account in remove.bg's form: what is left was paid in advance, so all of it is `payg`."""

    dialect = REMOVEBG

    def get(self, request: Request) -> HttpResponse:
        credits = funding_named(request.auth.funding).credits(request.auth.account_id)
        left = credits.balance if credits else 0
        attributes = {
            "credits": {"total": left, "subscription": 0, "payg": left, "enterprise": 0},
            "api": {"free_calls": 0, "sizes": "all"},
        }
        return JsonResponse({"data": {"attributes": attributes}}, headers={"Cache-Control": "private, no-store"})


class UsageView(EndpointView):
    """Use by day and operation; the last 30 days unless asked otherwise; CSV with `format=csv`."""

    def get(self, request: Request) -> HttpResponse:
        today = timezone.now().date()
        last = _day(request, "to", default=today)
        first = _day(request, "from", default=last - timedelta(days=29))
        if first > last:
            raise invalid("from", "from must not be after to.")
        if last - first > _LONGEST_SPAN:
            raise invalid("from", f"Ask for at most {_LONGEST_SPAN.days} days at once.")
        wanted = request.GET.get("format", "json")
        if wanted not in {"json", "csv"}:
            raise invalid("format", "Use json or csv.")
        rows = [_row(day) for day in usage_between(request.auth, first=first, last=last)]
        if wanted == "csv":
            return _as_csv(rows)
        return envelope(request, data={"from": first.isoformat(), "to": last.isoformat(), "days": rows})


_COLUMNS = ("day", "operation", "succeeded", "failed", "credits")


def _row(usage: UsageDay) -> dict[str, Any]:
    counts = {name: getattr(usage, name) for name in ("succeeded", "failed", "credits")}
    return {"day": usage.day.isoformat(), "operation": usage.operation, **counts}


def _as_csv(rows: list[dict[str, Any]]) -> HttpResponse:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")


def _day(request: Request, name: str, *, default: date) -> date:
    text = request.GET.get(name)
    if not text:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise invalid(name, f"{name} must be a day such as 2026-11-21.") from None
    if day.year < 2000:
        raise invalid(name, f"{name} must not be before 2000-01-01.")
    return day
