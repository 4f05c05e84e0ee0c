"""`GET /v1/account` and `GET /v1/usage`."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Annotated

from django.http import HttpResponse
from django.utils import timezone
from msgspec import field
from rest_framework.request import Request

from apps.billing import models
from apps.billing.usage import usage_between
from apps.core.answers import Count, Day, Envelope, Part, Price, about, as_json
from apps.core.api.views import EndpointView
from apps.core.dialects.base import json_response
from apps.core.dialects.envelope import envelope
from apps.core.dialects.removebg import REMOVEBG
from apps.core.errors import invalid
from apps.core.funding import funding_named
from apps.core.openapi.endpoints import Endpoint, in_query
from apps.core.operations import all_operations
from apps.core.owner import Mode
from apps.core.request_facts import identity_of

_LONGEST_SPAN = timedelta(days=366)


class Credits(Part):
    """What the account has."""

    balance: Count
    held: Count


class PlanLimits(Part):
    """What the plan allows."""

    requests_per_minute: Count
    jobs_at_once: Count


class Account(Part):
    """The account."""

    account: str
    plan: str
    sandbox: bool
    credits: Annotated[
        Credits | None,
        about("balance is what can still be spent, held is already taken off it; null where RapidAPI bills."),
    ]
    limits: PlanLimits
    prices: dict[str, Price]


class _Credits(Part):
    total: Count
    subscription: Count
    payg: Count
    enterprise: Count


class _Api(Part, rename=None):
    free_calls: Count
    sizes: str


class _Attributes(Part):
    credits: _Credits
    api: _Api


class _Data(Part):
    attributes: _Attributes


class RemoveDotBgAccount(Part):
    """The account; 0 where RapidAPI bills."""

    data: _Data


class UsageDay(Part):
    """What an operation was used on one day (UTC)."""

    day: Day
    operation: str
    succeeded: Count
    failed: Count
    credits: Count


class Usage(Part):
    """The rows."""

    first: Day = field(name="from")
    last: Day = field(name="to")
    days: list[UsageDay]


class AccountView(EndpointView):
    """Plan, credits, limits and prices of the caller's account."""

    chapter = "account"

    @Endpoint("get_account", "Plan, credits left, limits and prices", Envelope[Account])
    def get(self, request: Request) -> HttpResponse:
        identity = identity_of(request)
        funding = funding_named(identity.funding)
        credits = funding.credits(identity.account_id)
        prices = {each.slug: funding.price(each) for operation in all_operations() for each in operation.price_list}
        limits = identity.limits
        return envelope(
            request,
            Account(
                account=identity.account_name,
                plan=identity.plan,
                sandbox=identity.mode is Mode.SANDBOX,
                credits=None if credits is None else Credits(balance=credits.balance, held=credits.held),
                limits=PlanLimits(requests_per_minute=limits.requests_a_minute, jobs_at_once=limits.jobs_at_once),
                prices={slug: Price.of(price) for slug, price in prices.items()},
            ),
        )


class RemoveBgAccountView(EndpointView):
    """The account in remove.bg's form: what is left was paid in advance, so all of it is `payg`."""

    dialect = REMOVEBG
    chapter = "compatible"

    @Endpoint("get_removebg_account", "Credits left, in remove.bg's form", RemoveDotBgAccount)
    def get(self, request: Request) -> HttpResponse:
        credits = funding_named(identity_of(request).funding).credits(identity_of(request).account_id)
        left = credits.balance if credits else 0
        credits_left = _Credits(total=left, subscription=0, payg=left, enterprise=0)
        attributes = _Attributes(credits=credits_left, api=_Api(free_calls=0, sizes="all"))
        return json_response(RemoveDotBgAccount(data=_Data(attributes=attributes)))


class UsageView(EndpointView):
    """Use by day and operation; the last 30 days unless asked otherwise; CSV with `format=csv`."""

    chapter = "account"

    @Endpoint(
        "get_usage",
        "Use by day (UTC) and operation",
        Envelope[Usage],
        query=(
            in_query("from", "First day; 29 days before `to` when absent.", type="string", format="date"),
            in_query("to", "Last day, included; today when absent.", type="string", format="date"),
            in_query("format", "json or csv.", type="string", enum=["json", "csv"], default="json"),
        ),
        media={"text/csv": {"schema": {"type": "string"}}},
    )
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
        rows = [_row(day) for day in usage_between(identity_of(request), first=first, last=last)]
        if wanted == "csv":
            return _as_csv(rows)
        return envelope(request, Usage(first=first.isoformat(), last=last.isoformat(), days=rows))


def _row(usage: models.UsageDay) -> UsageDay:
    return UsageDay(
        day=usage.day.isoformat(),
        operation=usage.operation,
        succeeded=usage.succeeded,
        failed=usage.failed,
        credits=usage.credits,
    )


def _as_csv(rows: list[UsageDay]) -> HttpResponse:
    text = io.StringIO()
    writer = csv.DictWriter(text, UsageDay.__struct_encode_fields__)
    writer.writeheader()
    writer.writerows(as_json(row) for row in rows)
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
