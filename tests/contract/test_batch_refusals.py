"""Batches that are refused as a whole: the contract's error, and nothing held or stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory

from apps.batches.models import Batch
from apps.batches.views import BatchesView
from apps.core.api import parsers
from apps.core.api.terms import PATIENT, Terms
from apps.core.models import Job
from apps.core.storage import ResultStore, StoreAwayError
from tests.api import Api, error_of, make_api, upload
from tests.contract.batch_calls import PATH, made, photos, send, send_json, zip_of
from tests.contract.books import asleep, credits
from tests.contract.objects import stored_below


def recorded(patch: pytest.MonkeyPatch, *, most: int = 1000) -> list[str]:
    """The keys of all that goes to the store, which is away after so many."""
    real = ResultStore.put
    stored: list[str] = []

    def put(self: Any, key: str, body: Any, **more: Any) -> None:
        if len(stored) == most:
            raise StoreAwayError
        stored.append(key)
        real(self, key, body, **more)

    patch.setattr(ResultStore, "put", put)
    return stored


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"operation": None}, 400, "operation"),
        ({"operation": "remove-everything"}, 400, "operation"),
        ({"params": "[]"}, 400, "params"),
        ({"params": "{"}, 400, "params"),
        ({"params": '{"output": "mask"}'}, 400, "params.output"),
        ({"params": '{"image_url": "https://shop.example/a.jpg"}'}, 400, "params.image_url"),
        ({"params": '{"output_format": "gif"}'}, 400, "params.output_format"),
        ({"params": '{"retention": "0"}'}, 400, "params.retention"),
        ({"output_format": "mask"}, 400, "output_format"),
        ({"image_urls": '["https://shop.example/a.jpg"]'}, 400, "images"),
        (
            {"operation": "watermark-removal", "params": '{"template": "7d3c1c1e-1f0e-4a51-8f0e-3a7c5e6b7d22"}'},
            400,
            "params.template",
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_with_the_batch_refuses_it_whole(api: Api, fields: Any, status: int, field: str) -> None:
    response = send(api, photos(2), **fields)

    assert error_of(response) == (status, "VALIDATION_ERROR", [field])
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)
    assert credits(api) == {"balance": 1000, "held": 0}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "operation"),
        ({"operation": "remove-bg"}, "images"),
        ({"operation": "remove-bg", "image_urls": []}, "image_urls"),
        ({"operation": "remove-bg", "image_urls": "not json"}, "image_urls"),
        ({"operation": "remove-bg", "image_urls": {"url": "https://shop.example/a.jpg"}}, "image_urls"),
        ({"operation": "remove-bg", "image_urls": [7]}, "image_urls.0"),
        ({"operation": "remove-bg", "image_urls": [{"name": "a.jpg"}]}, "image_urls.0"),
        (
            {"operation": "remove-bg", "image_urls": ["https://a.example/a.jpg", {"url": "https://b", "x": 1}]},
            "image_urls.1.x",
        ),
        (
            {"operation": "remove-bg", "image_urls": [{"url": "https://shop.example/a.jpg", "name": 7}]},
            "image_urls.0.name",
        ),
        ({"operation": "remove-bg", "image_urls": ["https://shop.example/a.jpg"] * 101}, "image_urls"),
        ({"operation": "remove-bg", "images": "https://shop.example/a.jpg"}, "images"),
        ({"operation": ["remove-bg"], "image_urls": ["https://shop.example/a.jpg"]}, "operation"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_json_that_says_no_batch_is_refused(api: Api, body: Any, field: str) -> None:
    response = send_json(api, body)

    assert error_of(response) == (400, "VALIDATION_ERROR", [field])
    assert Job.objects.count() == 0


@pytest.mark.parametrize(
    ("packed", "status"),
    [
        (b"no zip", 400),
        (zip_of({f"{number}.png": b"x" for number in range(101)}), 400),
        (zip_of({"a.png": b"x", "../b.png": b"x"}), 400),
        (zip_of({"a.png": b"x", "b.png": zip_of({"c": b"x"})}), 400),
        (zip_of({"a.png": bytes(30_000_000)}), 400),
        (zip_of({f"{number}.png": bytes(4_000_000) for number in range(90)}), 413),
    ],
    ids=["no zip", "101", "climbing", "nested", "bomb", "over 300 MB"],
)
def test_bad_archive_refuses_the_batch(api: Api, packed: bytes, status: int) -> None:
    response = send(api, archive=upload(packed, "night.zip"))

    assert (response.status_code, error_of(response)[2]) == (status, ["archive"])
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


def test_101_images_are_refused(api: Api) -> None:
    response = send(api, photos(101))

    assert error_of(response) == (400, "VALIDATION_ERROR", ["images"])
    assert Job.objects.count() == 0


def test_batch_that_the_balance_does_not_cover_is_refused_before_anything_is_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = make_api("poor", credits=2)
    stored = recorded(monkeypatch)

    response = send(poor, photos(3))

    assert error_of(response) == (402, "INSUFFICIENT_CREDITS", ["credits"])
    assert "3 credits" in response.json()["error"]["message"]
    assert (Batch.objects.count(), Job.objects.count(), stored) == (0, 0, [])
    assert credits(poor) == {"balance": 2, "held": 0}


def test_hold_itself_refuses_what_the_look_before_let_pass(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = make_api("poor", credits=2)
    monkeypatch.setattr("apps.batches.submission.refuse_uncovered", lambda order: None)
    stored = recorded(monkeypatch)

    response = send(poor, photos(3))

    assert error_of(response) == (402, "INSUFFICIENT_CREDITS", ["credits"])
    assert (Batch.objects.count(), Job.objects.count(), len(stored)) == (0, 0, 3)
    assert [key for key in stored if stored_below(key)] == []
    assert credits(poor) == {"balance": 2, "held": 0}


def test_store_that_is_away_leaves_nothing_behind(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stored = recorded(patch, most=2)
        response = send(api, photos(3), **{"Idempotency-Key": "away"})

    assert error_of(response)[:2] == (503, "OVERLOADED")
    assert (Batch.objects.count(), Job.objects.count(), len(stored)) == (0, 0, 2)
    assert [key for key in stored if stored_below(key)] == []
    assert send(api, photos(3), **{"Idempotency-Key": "away"}).status_code == 202


def test_queue_without_room_for_all_takes_none(api: Api, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    asleep(monkeypatch)
    settings.MAX_QUEUED_JOBS = 5
    made(send(api, photos(3)))

    response = send(api, photos(3))

    assert error_of(response)[:2] == (503, "OVERLOADED")
    assert response.headers["Retry-After"]
    assert Job.objects.count() == 3


def test_key_without_the_scope_is_refused_and_sees_nothing(api: Api) -> None:
    mine = made(send(api, photos(1)))
    narrow = make_api("tester", credits=0, scopes=["clothing-segmentation"])

    assert error_of(send(narrow, photos(1)))[:2] == (403, "FORBIDDEN")
    assert error_of(narrow.get(f"{PATH}/{mine['batchId']}"))[0] == 404
    assert narrow.get(PATH).json()["data"]["batches"] == []


def test_batch_is_its_accounts_and_its_modes_alone(api: Api) -> None:
    mine = made(send(api, photos(1)))
    for stranger in (make_api("other"), make_api("tester", credits=0, sandbox=True)):
        for call in (stranger.get, stranger.delete):
            assert error_of(call(f"{PATH}/{mine['batchId']}"))[0] == 404
        assert error_of(stranger.get(f"{PATH}/{mine['batchId']}/archive"))[0] == 404
        assert stranger.get(PATH).json()["data"]["batches"] == []


def test_large_batches_have_few_places_and_a_pace_of_their_own(api: Api) -> None:
    def terms(length: str) -> Terms:
        headers = {"HTTP_X_API_KEY": api.key, "CONTENT_LENGTH": length, "CONTENT_TYPE": "multipart/form-data"}
        given = BatchesView().terms(RequestFactory().post(PATH, **headers))
        assert given is not None
        return given

    small, large, unknown = terms("1000"), terms(str(200 * 1_048_576)), terms("")

    assert (small.pace, len(small.shares)) == (PATIENT, 1)
    assert large == unknown
    assert large.pace.least_bytes_a_s > small.pace.least_bytes_a_s
    assert [(share.places, share.is_common) for share in large.shares[1:]] == [(4, False), (8, True)]
    assert large.shares[0] == small.shares[0]  # a batch takes one of its account's places, too
    assert BatchesView.body_cap_bytes == 300 * 1_048_576


def test_batches_are_parsed_beside_others_bodies() -> None:
    assert BatchesView.parse_gate is not parsers._gate


def test_json_is_not_taken_in_the_size_of_files(api: Api) -> None:
    response = send_json(api, {"operation": "remove-bg", "image_urls": ["x"], "padding": "x" * (5 * 1_048_576)})

    assert error_of(response) == (413, "PAYLOAD_TOO_LARGE", ["body"])
