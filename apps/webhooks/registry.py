"""Webhooks: register, find, change, rotate, and send once more what was sent."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import Account
from apps.core import errands
from apps.core.answers import DeliveryStatus
from apps.core.errors import AppError, ErrorCode, invalid
from apps.core.idempotency import Fate, Kind, Ticket, once
from apps.core.identity import Identity
from apps.core.sealing import seal
from apps.webhooks.delivering import LEASE, disable
from apps.webhooks.models import Delivery, Rotation, Status, Webhook
from apps.webhooks.outbox import ERRAND, delivery_of
from apps.webhooks.sending import test_event

MOST_WEBHOOKS = 20
"""Of one account, in each of its modes."""

BOTH_SIGN = timedelta(hours=24)
_SECRET_BYTES = 32


def webhooks_of(identity: Identity) -> QuerySet[Webhook]:
    """The account's in the key's mode; a key with scopes sees those alone that hear of nothing beyond them."""
    rows = Webhook.objects.filter(account_id=identity.account_id, mode=identity.mode)
    return rows if identity.scopes is None else rows.filter(scopes__contained_by=sorted(identity.scopes))


def own_webhook(identity: Identity, webhook_id: UUID) -> Webhook:
    """Raises AppError(NOT_FOUND) for an unknown, deleted or foreign one alike."""
    webhook = webhooks_of(identity).filter(id=webhook_id).first()
    if webhook is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such webhook.")
    return webhook


def own_delivery(identity: Identity, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """Raises AppError(NOT_FOUND)."""
    webhook = own_webhook(identity, webhook_id)
    delivery = Delivery.objects.select_related("event").filter(webhook=webhook, id=delivery_id).first()
    if delivery is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such delivery.")
    delivery.webhook = webhook
    return delivery


def make_webhook(identity: Identity, ticket: Ticket | None, checked: Mapping[str, Any]) -> tuple[Webhook, bool]:
    """
    Register an address that was checked.

    Returns:
        The webhook, and whether the first request with this key made it.

    Raises:
        AppError: VALIDATION_ERROR when the account has all that it may have; IDEMPOTENCY_MISMATCH, GONE and CONFLICT by the key.
    """
    return once(ticket, lambda: _insert(identity, checked))


def change(webhook: Webhook, changes: Mapping[str, Any]) -> None:
    """Another address, other events, another description; `disabled` stops it, `active` lets it go on."""
    with transaction.atomic():
        if "url" in changes:
            changes = {**changes, "is_failing": False}
        Webhook.objects.filter(id=webhook.id).update(**changes)
        if changes.get("status") == Status.DISABLED:
            disable(webhook.id)
    webhook.refresh_from_db()


def rotate(webhook: Webhook, ticket: Ticket | None) -> bool:
    """A new secret; the one before signs beside it for 24 h. Returns whether the first request with this key has done it."""
    _, is_replay = once(ticket, lambda: _rotate(webhook))
    webhook.refresh_from_db()
    return is_replay


def make_test(webhook: Webhook, ticket: Ticket | None) -> tuple[Delivery, bool]:
    """A delivery of `webhook.test` that is in the caller's hands: `delivering.send_test` sends it."""
    return once(ticket, lambda: _insert_test(webhook))


def replay(delivery: Delivery, ticket: Ticket | None) -> tuple[Delivery, bool]:
    """
    Send the same event again, with tries of its own; one that is still to be delivered is only hurried.

    Raises:
        AppError: VALIDATION_ERROR where the webhook is disabled.
    """
    if delivery.webhook.status == Status.DISABLED:
        raise invalid("status", 'The webhook is disabled and hears nothing: PATCH it with {"status": "active"} first.')
    made, is_replay = once(ticket, lambda: _again(delivery))
    if is_replay:
        made = Delivery.objects.select_related("event").get(id=made.id)
    return made, is_replay


def fate_of_delivery(delivery: Delivery) -> Fate:
    """A test's request is at work as long as its lease lasts; one that died leaves what it has."""
    is_test_at_work = delivery.status == DeliveryStatus.PENDING and delivery.next_attempt_at is None
    if is_test_at_work and delivery.lease_until and delivery.lease_until > timezone.now():
        return Fate.AT_WORK
    return Fate.STANDS


KINDS = (
    Kind("webhook", Webhook, lambda _: Fate.STANDS),
    Kind("webhook_secret", Rotation, lambda _: Fate.STANDS),
    Kind("webhook_delivery", Delivery, fate_of_delivery),
)


def new_secret() -> str:
    """As Standard Webhooks writes one: 256 random bits."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _insert(identity: Identity, checked: Mapping[str, Any]) -> Webhook:
    Account.objects.select_for_update().get(id=identity.account_id)  # the account's registrations line up here
    if Webhook.objects.filter(account_id=identity.account_id, mode=identity.mode).count() >= MOST_WEBHOOKS:
        raise invalid("url", f"The account has {MOST_WEBHOOKS} webhooks, which is the most; delete one first.")
    return Webhook.objects.create(
        account_id=identity.account_id,
        mode=identity.mode,
        scopes=None if identity.scopes is None else sorted(identity.scopes),
        sealed_secret=seal(new_secret()),
        created_at=timezone.now(),
        **checked,
    )


def _rotate(webhook: Webhook) -> Rotation:
    now = timezone.now()
    row = Webhook.objects.select_for_update().filter(id=webhook.id).first()
    if row is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such webhook.")
    row.sealed_previous, row.previous_until = row.sealed_secret, now + BOTH_SIGN
    row.sealed_secret = seal(new_secret())
    row.save(update_fields=["sealed_secret", "sealed_previous", "previous_until"])
    return Rotation.objects.create(webhook=row, created_at=now)


def _insert_test(webhook: Webhook) -> Delivery:
    event = test_event(webhook)
    event.save(force_insert=True)
    delivery = delivery_of(event, webhook)
    delivery.next_attempt_at, delivery.lease_until = None, timezone.now() + LEASE
    delivery.save(force_insert=True)
    return delivery


def _again(delivery: Delivery) -> Delivery:
    hurried = Delivery.objects.filter(id=delivery.id, status=DeliveryStatus.PENDING, lease_until=None)
    if delivery.status == DeliveryStatus.PENDING:
        hurried.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
        delivery.refresh_from_db()
        again = delivery
    else:
        again = delivery_of(delivery.event, delivery.webhook)
        again.save(force_insert=True)
    transaction.on_commit(partial(errands.wake, ERRAND), robust=True)
    return again
