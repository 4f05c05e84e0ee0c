"""Keys that were taken before there was one store: the migrations there and back, and what their clients hear afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse
from django.utils import timezone

from apps.core.idempotency import Fate, holder_of
from apps.core.models import IdempotencyKey
from apps.payments.keys import ticket_of
from apps.watermark.models import WatermarkTemplate
from tests.api import Api, upload
from tests.contract.senders import TEMPLATES as PATH
from tests.watermarks import mark_png

BEFORE = [("core", "0004_paces"), ("payments", "0002_transaction_once_paid"), ("watermark", "0002_modes")]
NOW = timezone.now()
# key: payer, state, age in hours
PAYMENTS = {
    "settled": ("0xaa", "settled", 1),
    "at-work": ("0xbb", "working", 1),
    "pushed": ("", "settling", 1),
    "released": ("0xaa", "released", 1),
    "failed": ("0xaa", "failed", 1),
    "old": ("0xaa", "settled", 25),
}
_PAY = """
INSERT INTO payments_payment (id, rail, key, fingerprint, idempotency_key, state, money_moved, reason, payer, recipient, asset,
    network, amount, nonce, refund_due, refund_note, created_at, updated_at)
VALUES (%s, 'x402', %s, 'f', %s, %s, false, '', %s, '0x', '0x', 'n', 1, '', false, '', %s, %s)
"""


def migrate(targets: list[tuple[str, str]] | None = None) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


@pytest.fixture
def _then_forward(transactional_db: None) -> Iterator[None]:
    yield
    migrate()


def rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def make(api: Api, key: str, colour: tuple[int, int, int] = (1, 2, 3)) -> HttpResponse:
    return api.post(PATH, {"image": upload(mark_png(colour))}, **{"Idempotency-Key": key})


@pytest.mark.usefixtures("_then_forward")
def test_keys_survive_the_migrations_there_and_back(api: Api) -> None:
    job = api.send(Idempotency_Key="job")
    template, deleted = make(api, "template"), make(api, "deleted")
    api.delete(f"{PATH}/{deleted.json()['data']['id']}")
    old = make(api, "old-template")
    WatermarkTemplate.objects.filter(id=old.json()["data"]["id"]).update(created_at=NOW - timedelta(hours=25))

    migrate(BEFORE)

    keys, ((job_id,),) = dict(rows("SELECT key, job_id FROM core_idempotencykey")), rows("SELECT id FROM core_job")
    assert keys == {"job": job_id, "template": None, "deleted": None, "old-template": None}
    named = rows(
        "SELECT idempotency_key, length(fingerprint) FROM watermark_watermarktemplate ORDER BY idempotency_key"
    )
    assert named == [("old-template", 64), ("template", 64)]
    ids = {key: uuid.uuid4() for key in PAYMENTS}
    with connection.cursor() as cursor:
        for key, (payer, state, hours) in PAYMENTS.items():
            at = NOW - timedelta(hours=hours)
            cursor.execute(_PAY, [ids[key], f"money of {key}", key, state, payer, at, at])

    migrate()

    paid = IdempotencyKey.objects.filter(kind="payment").values_list("key", "payer", "made_id", "account_id")
    assert set(paid) == {
        ("settled", "0xaa", ids["settled"], None),
        ("at-work", "0xbb", ids["at-work"], None),
        ("pushed", str(ids["pushed"]), ids["pushed"], None),
    }
    fates = {key: holder_of(ticket_of(key=key, payer=payer, fingerprint="f")) for key, (payer, *_) in PAYMENTS.items()}
    told = {key: first.fate for key, first in fates.items() if first}
    assert told == {"settled": Fate.STANDS, "at-work": Fate.AT_WORK}
    again = [api.send(Idempotency_Key="job"), make(api, "template")]
    assert [response.headers.get("Idempotency-Replayed") for response in again] == ["true", "true"]
    assert again[0].content == job.content
    assert again[1].json()["data"] == template.json()["data"]
    assert make(api, "template", (4, 5, 6)).status_code == 422
    assert make(api, "old-template").json()["data"]["id"] != old.json()["data"]["id"]


@pytest.mark.usefixtures("_then_forward")
def test_payers_keys_go_back_to_their_payments(transactional_db: None) -> None:
    payment = uuid.uuid4()
    migrate(BEFORE)
    with connection.cursor() as cursor:
        cursor.execute(_PAY, [payment, "money", "k", "settled", "0xaa", NOW, NOW])
    migrate()

    migrate(BEFORE)

    assert rows("SELECT id, idempotency_key FROM payments_payment") == [(payment, "k")]
    assert rows("SELECT key FROM core_idempotencykey") == []
