"""Payments to read, unknown ones on top, with totals by day and rail; refunds to tick off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Case, Count, IntegerField, QuerySet, Sum, Value, When
from django.db.models.functions import TruncDate
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.core.models import IdempotencyKey
from apps.core.rows_admin import RowAdmin
from apps.payments.models import Payment, PaymentState

_MICROS = 1_000_000
_TOTALS_SINCE = timedelta(days=30)


def dollars(micros: int) -> str:
    """Millionths in dollars and cents, fractions of a cent where there are any."""
    whole, rest = divmod(micros, _MICROS)
    return f"{whole}.{rest:06d}".rstrip("0").ljust(len(str(whole)) + 3, "0")


@admin.register(Payment)
class PaymentAdmin(RowAdmin):
    list_display = ["created_at", "state", "rail", "dollars", "payer", "transaction", "job", "refund_due", "refunded_at",
                    "reason"]  # fmt: skip
    list_filter = ["state", "rail", "refund_due", "network"]
    search_fields = ["=payer", "=transaction", "=key", "=job__id"]
    search_help_text = "By payer, transaction, credential, job, or a day long by the client's Idempotency-Key."
    list_select_related = ["job"]
    list_before_template = "payments/totals.html"
    show_full_result_count = False
    actions = ["mark_refunded"]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return [*(field.name for field in Payment._meta.fields if field.name != "refund_note"), "idempotency_keys"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:  # noqa: ARG002
        first = Case(When(state=PaymentState.UNKNOWN, then=Value(0)), default=Value(1), output_field=IntegerField())
        return Payment.objects.annotate(urgency=first).order_by("urgency", "-created_at")

    def get_ordering(self, request: HttpRequest) -> list[str]:  # noqa: ARG002
        return ["urgency", "-created_at"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), **totals()})

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Payment], term: str) -> tuple[Any, bool]:
        by_key = queryset.filter(id__in=IdempotencyKey.objects.filter(key=term).values("made_id")) if term else None
        return (by_key, False) if by_key else super().get_search_results(request, queryset, term)

    @admin.display(description="idempotency keys")
    def idempotency_keys(self, payment: Payment) -> str:
        """What the payer's own names for it are, while they live."""
        return ", ".join(IdempotencyKey.objects.filter(made_id=payment.id).values_list("key", flat=True)) or "-"

    @admin.display(description="dollars", ordering="amount")
    def dollars(self, payment: Payment) -> str:
        return dollars(payment.amount)

    @admin.action(description="Mark the refund as paid back", permissions=["change"])
    def mark_refunded(self, request: HttpRequest, chosen: QuerySet[Payment]) -> None:
        marked = [payment for payment in chosen if self._is_marked_now(payment)]
        self.log_changes(request, marked, "Marked as paid back.")
        self.message_user(request, f"{len(marked)} refunds are marked as paid back.")

    @staticmethod
    def _is_marked_now(payment: Payment) -> bool:
        due = Payment.objects.filter(id=payment.id, refund_due=True, refunded_at=None)
        return due.update(refunded_at=timezone.now()) > 0


def totals() -> dict[str, Any]:
    """Money taken by day and rail, newest first, and what waits for a person."""
    taken = Payment.objects.filter(money_moved=True, settled_at__gte=timezone.now() - _TOTALS_SINCE)
    by_day = taken.annotate(day=TruncDate("settled_at")).values("day", "rail")
    rows = by_day.annotate(payments=Count("id"), micros=Sum("amount")).order_by("-day", "rail")
    return {
        "totals": [{**row, "dollars": dollars(row["micros"])} for row in rows],
        "refunds_due": Payment.objects.filter(refund_due=True, refunded_at=None).count(),
        "unknown": Payment.objects.filter(state=PaymentState.UNKNOWN).count(),
    }
