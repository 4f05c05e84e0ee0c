"""`/v1/webhooks`: register, change, rotate, test; deliveries, and their replay."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from apps.core import idempotency
from apps.core.answers import Envelope, Quote
from apps.core.api.cursors import PAGE_QUERY, PageAsked, page_of
from apps.core.api.fields import ignored_names, is_dry_run, request_fields
from apps.core.api.parsers import JsonParser
from apps.core.api.views import EndpointView, place_if
from apps.core.dialects.envelope import envelope
from apps.core.idempotency import Ticket
from apps.core.intake.addresses import checked_address
from apps.core.openapi.endpoints import Endpoint
from apps.core.request_facts import facts_of, identity_of
from apps.core.results import iso
from apps.core.sealing import unseal
from apps.webhooks import registry
from apps.webhooks.answers import (
    NewWebhook,
    Webhook,
    WebhookChange,
    WebhookDeliveries,
    WebhookDelivery,
    Webhooks,
    WebhookSecret,
)
from apps.webhooks.delivering import send_test
from apps.webhooks.models import Delivery, EventType
from apps.webhooks.registry import MOST_WEBHOOKS, own_delivery, own_webhook, webhooks_of
from apps.webhooks.serializers import ChangeSerializer, WebhookSerializer


class WebhookEndpoint(EndpointView):
    """Of the chapter."""

    chapter = "webhooks"


class JsonEndpoint(WebhookEndpoint):
    """With a body of JSON alone; the others have none, and take an empty one of any kind."""

    def get_parsers(self) -> list[BaseParser]:
        return [JsonParser()]


class WebhooksView(JsonEndpoint):
    """`POST` registers one, `GET` lists them."""

    @Endpoint("list_webhooks", "Your webhooks", Envelope[Webhooks])
    def get(self, request: Request) -> HttpResponse:
        rows = webhooks_of(identity_of(request))
        return envelope(request, Webhooks(webhooks=[Webhook.of(row) for row in rows]))

    @Endpoint(
        "create_webhook",
        "Be told when jobs and batches end; the secret is shown once",
        Envelope[Webhook],
        status=201,
        about=f"At most {MOST_WEBHOOKS} an account. Deliveries are signed as Standard Webhooks says: any of its libraries "
        "verifies them. A sandbox key's webhook is sent webhook.test alone.",
        body=NewWebhook(url="https://shop.example/hooks", events=[EventType.JOB_SUCCEEDED, EventType.JOB_FAILED]),
        takes_ticket=True,
    )
    def post(self, request: Request) -> HttpResponse:
        identity, fields = identity_of(request), _fields(request, WebhookSerializer)
        serializer = WebhookSerializer(data=_given(fields))
        serializer.is_valid(raise_exception=True)
        is_quote = is_dry_run(request, fields)
        checked = serializer.validated_data
        with place_if(True, identity.account_id):
            checked_address("url", checked["url"], account_id=identity.account_id)
        ticket = idempotency.ticket_for(request, identity, fields, {})
        if is_quote and idempotency.first_answer(ticket) is None:
            return envelope(request, Quote.of(0))
        row, is_replay = registry.make_webhook(identity, ticket, checked)
        response = envelope(request, Webhook.of(row, secret=unseal(row.sealed_secret)), status=201)
        response.headers["Location"] = f"/v1/webhooks/{row.id}"
        return _answer(response, ticket, row, is_replay)


class WebhookView(JsonEndpoint):
    """`GET`, `PATCH` and `DELETE` of one."""

    @Endpoint("get_webhook", "One of your webhooks", Envelope[Webhook])
    def get(self, request: Request, webhook_id: uuid.UUID) -> HttpResponse:
        return envelope(request, Webhook.of(own_webhook(identity_of(request), webhook_id)))

    @Endpoint(
        "change_webhook",
        "Change where a webhook leads to or what it hears, or switch it off and on",
        Envelope[Webhook],
        body=WebhookChange(events=[EventType.JOB_SUCCEEDED]),
    )
    def patch(self, request: Request, webhook_id: uuid.UUID) -> HttpResponse:
        identity, fields = identity_of(request), _fields(request, ChangeSerializer)
        webhook = own_webhook(identity, webhook_id)
        serializer = ChangeSerializer(data=_given(fields), partial=True)
        serializer.is_valid(raise_exception=True)
        changes = serializer.validated_data
        if "url" in changes:
            with place_if(True, identity.account_id):
                checked_address("url", changes["url"], account_id=identity.account_id)
        if is_dry_run(request, fields):
            return envelope(request, Quote.of(0))
        registry.change(webhook, changes)
        return envelope(request, Webhook.of(webhook))

    @Endpoint("delete_webhook", "Delete a webhook; what waits for it is not sent any more", status=204)
    def delete(self, request: Request, webhook_id: uuid.UUID) -> HttpResponse:
        own_webhook(identity_of(request), webhook_id).delete()
        return HttpResponse(status=204)


class RotateSecretView(WebhookEndpoint):
    """`POST`: a new secret."""

    @Endpoint(
        "rotate_webhook_secret",
        "A new secret; for 24 h the one before signs beside it",
        Envelope[WebhookSecret],
        takes_ticket=True,
    )
    def post(self, request: Request, webhook_id: uuid.UUID) -> HttpResponse:
        webhook = own_webhook(identity_of(request), webhook_id)
        if is_dry_run(request, fields := _fields(request)):
            return envelope(request, Quote.of(0))
        ticket = idempotency.ticket_for(request, identity_of(request), fields, {})
        is_replay = registry.rotate(webhook, ticket)
        told = WebhookSecret(
            webhook_id=str(webhook.id),
            secret=unseal(webhook.sealed_secret),
            previous_until=iso(webhook.previous_until),
        )
        response = envelope(request, told)
        return idempotency.as_replay(response) if is_replay else response


class TestView(WebhookEndpoint):
    """`POST`: a try, here and now."""

    @Endpoint(
        "test_webhook",
        "Send webhook.test at once and tell what came back",
        Envelope[WebhookDelivery],
        takes_ticket=True,
    )
    def post(self, request: Request, webhook_id: uuid.UUID) -> HttpResponse:
        identity = identity_of(request)
        webhook = own_webhook(identity, webhook_id)
        if is_dry_run(request, fields := _fields(request)):
            return envelope(request, Quote.of(0))
        ticket = idempotency.ticket_for(request, identity, fields, {})
        with place_if(True, identity.account_id):
            delivery, is_replay = registry.make_test(webhook, ticket)
            if not is_replay:
                delivery = send_test(delivery)
        return _answer(envelope(request, WebhookDelivery.of(delivery)), ticket, delivery, is_replay)


class DeliveriesView(WebhookEndpoint):
    """`GET`: what was sent, and what came of it."""

    @Endpoint(
        "list_webhook_deliveries",
        "What was sent to a webhook, with every try; kept for 30 days",
        Envelope[WebhookDeliveries],
        query=PAGE_QUERY,
    )
    def get(self, request: Request, webhook_id: uuid.UUID) -> HttpResponse:
        webhook = own_webhook(identity_of(request), webhook_id)
        rows = Delivery.objects.filter(webhook=webhook).select_related("event")
        page = page_of(rows, PageAsked.of(request.GET))
        told = [WebhookDelivery.of(row) for row in page.rows]
        return envelope(request, WebhookDeliveries(deliveries=told, next_cursor=page.next_cursor))


class ReplayView(WebhookEndpoint):
    """`POST`: the same event once more."""

    @Endpoint(
        "replay_webhook_delivery",
        "Send an event again, with the same webhook-id",
        Envelope[WebhookDelivery],
        status=202,
        takes_ticket=True,
    )
    def post(self, request: Request, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> HttpResponse:
        delivery = own_delivery(identity_of(request), webhook_id, delivery_id)
        if is_dry_run(request, fields := _fields(request)):
            return envelope(request, Quote.of(0))
        ticket = idempotency.ticket_for(request, identity_of(request), fields, {})
        again, is_replay = registry.replay(delivery, ticket)
        return _answer(envelope(request, WebhookDelivery.of(again), status=202), ticket, again, is_replay)


def _fields(request: Request, serializer: type[WebhookSerializer] | None = None) -> Mapping[str, Any]:
    """The body's members; those that say nothing here are told. An empty body has none."""
    fields = request_fields(request) if request.META.get("CONTENT_LENGTH") not in (None, "", "0") else {}
    known = [*(serializer._declared_fields if serializer else ()), "dry_run"]
    facts_of(request).unknown_fields = tuple(ignored_names(request, fields, in_body=known))
    return fields


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """null counts as absent."""
    return {name: value for name, value in fields.items() if value is not None}


def _answer(response: HttpResponse, ticket: Ticket | None, made: Any, is_replay: bool) -> HttpResponse:
    idempotency.note_answer(ticket, made, status=response.status_code, binary=False)
    return idempotency.as_replay(response) if is_replay else response
