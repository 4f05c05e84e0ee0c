"""`/v1/batches`: what goes in, what comes out, and what it costs."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.batches.models import Batch
from apps.core import lifecycle
from apps.core.models import Job
from tests import drawing
from tests.api import Api, make_api, upload
from tests.contract.batch_calls import (
    PATH,
    archive_of,
    made,
    manifest_of,
    photos,
    send,
    shown,
    work,
    zip_of,
)
from tests.contract.books import asleep, books_balance, credits
from tests.garments import garments_png
from tests.watermarks import marked_png

_SECRET = "s" * 40
_GATEWAY = {"X-RapidAPI-Proxy-Secret": _SECRET, "X-RapidAPI-User": "ann", "X-RapidAPI-Subscription": "PRO"}


# --- what comes back --------------------------------------------------------------------------------------


def test_two_photos_come_back_in_one_archive(api: Api) -> None:
    batch = made(send(api, photos(2), names=["red shoe.jpg", "blue.png"], params='{"output_format": "white_bg"}'))

    done = shown(api, batch)
    assert (done["status"], done["creditsHeld"], done["creditsCharged"]) == ("finished", 0, 2)
    assert done["counts"] == {"total": 2, "queued": 0, "running": 0, "succeeded": 2, "failed": 0, "cancelled": 0}
    assert [item["name"] for item in done["items"]] == ["red shoe.jpg", "blue.png"]
    archive = archive_of(api, batch)
    assert archive.testzip() is None
    assert archive.namelist() == ["manifest.json", "red shoe.jpg", "blue.jpg"]
    manifest = manifest_of(archive)
    for item in manifest["items"]:
        assert hashlib.sha256(archive.read(item["file"])).hexdigest() == item["sha256"]
    assert (manifest["params"], manifest["finishedAt"]) == ({"output_format": "white_bg"}, done["finishedAt"])
    assert credits(api) == {"balance": 998, "held": 0}
    assert books_balance()


def test_answer_has_exactly_the_fields_of_the_contract(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    batch = made(send(api, [*photos(2), b"no image"]))

    assert set(batch) == {"batchId", "operation", "status", "counts", "creditsHeld", "creditsCharged", "createdAt",
                          "finishedAt", "expiresAt", "items"}  # fmt: skip
    assert set(batch["items"][0]) == {
        "index",
        "name",
        "jobId",
        "status",
        "creditsCharged",
        "warnings",
        "error",
        "image",
    }
    assert (batch["operation"], batch["status"], batch["finishedAt"]) == ("remove-bg", "queued", None)
    assert batch["counts"] == {"total": 3, "queued": 2, "running": 0, "succeeded": 0, "failed": 1, "cancelled": 0}
    assert (batch["creditsHeld"], batch["creditsCharged"]) == (2, 0)
    assert credits(api) == {"balance": 998, "held": 2}
    work()
    done = shown(api, batch)
    assert set(done["items"][0]["image"]) == {"url", "contentType", "width", "height", "bytes", "sha256", "expiresAt"}
    assert done["items"][0]["image"]["expiresAt"] == done["expiresAt"]
    job = api.get(f"/v1/jobs/{done['items'][0]['jobId']}").json()["data"]
    assert job["result"]["image"]["sha256"] == done["items"][0]["image"]["sha256"]


def test_what_is_wrong_with_one_image_fails_it_alone_and_costs_nothing(api: Api) -> None:
    good = photos(2)
    bad = [b"", b"just text", drawing.png_claiming(20_000, 20_000), good[0][:60], bytes(11 * 1_048_576)]

    done = shown(api, made(send(api, [good[0], *bad, good[1]])))

    assert [item["status"] for item in done["items"]] == ["succeeded", *["failed"] * 5, "succeeded"]
    for item in done["items"][1:6]:
        assert (item["creditsCharged"], item["image"]) == (0, None)
        assert item["error"]["code"] == "VALIDATION_ERROR"
        assert [detail["field"] for detail in item["error"]["details"]] == ["image"]
    assert len({item["error"]["message"] for item in done["items"][1:6]}) == 5
    assert done["counts"]["failed"] == 5
    assert credits(api) == {"balance": 998, "held": 0}
    assert books_balance()
    manifest = manifest_of(archive_of(api, done))
    assert [item["file"] is None for item in manifest["items"]] == [False, *[True] * 5, False]
    assert manifest["items"][1]["error"] == done["items"][1]["error"]


def test_batch_of_nothing_but_bad_images_is_finished_at_once(api: Api) -> None:
    batch = made(send(api, [b"a", b"b"]))

    assert (shown(api, batch)["status"], shown(api, batch)["counts"]["failed"]) == ("finished", 2)
    assert archive_of(api, batch).namelist() == ["manifest.json"]


def test_archive_of_garments_and_masks_has_the_others_beside(api: Api) -> None:
    clothes = made(send(api, [garments_png()], names=["ann.jpg"], operation="clothing-segmentation"))
    marks = made(send(api, [marked_png()], names=["x/b.webp"], operation="watermark-removal"))

    garments = archive_of(api, clothes).namelist()
    assert garments[:2] == ["manifest.json", "ann.png"]
    assert {"ann.tops.png", "ann.bag.png"} <= set(garments)
    assert archive_of(api, marks).namelist() == ["manifest.json", "b.png", "b.mask.png"]
    assert credits(api) == {"balance": 996, "held": 0}


def test_zip_is_a_source_and_its_paths_are_the_names(api: Api) -> None:
    one, two, three = photos(3)
    packed = zip_of([("shoes/red.jpg", one), ("shoes/", b""), ("A.png", two), ("a.PNG", three), ("bad.jpg", b"x")])

    batch = made(send(api, archive=upload(packed, "night.zip")))

    done = shown(api, batch)
    assert [item["name"] for item in done["items"]] == ["shoes/red.jpg", "A.png", "a-2.PNG", "bad.jpg"]
    assert [item["status"] for item in done["items"]] == ["succeeded"] * 3 + ["failed"]
    assert archive_of(api, batch).namelist() == ["manifest.json", "shoes/red.png", "A.png", "a-2.png"]


def test_results_of_two_names_that_become_one_are_both_there(api: Api) -> None:
    names = ["a.jpg", "a.png", "manifest.json"]

    batch = made(send(api, photos(3), names=names))

    assert archive_of(api, batch).namelist() == ["manifest.json", "a.png", "a-2.png", "manifest.png"]


def test_batches_are_listed_newest_first_in_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [made(send(api, photos(1)))["batchId"] for _ in range(3)]
    asleep(monkeypatch)
    sent.append(made(send(api, photos(2)))["batchId"])

    first = api.get(f"{PATH}?limit=3").json()["data"]
    second = api.get(f"{PATH}?limit=3&cursor={first['nextCursor']}").json()["data"]

    assert [batch["batchId"] for batch in [*first["batches"], *second["batches"]]] == sent[::-1]
    assert second["nextCursor"] is None
    open_one, finished = first["batches"][0], first["batches"][1]
    assert "items" not in open_one
    assert (open_one["status"], open_one["counts"]["queued"], open_one["creditsHeld"]) == ("queued", 2, 2)
    assert (finished["status"], finished["counts"]["succeeded"], finished["creditsCharged"]) == ("finished", 1, 1)


# --- money, keys and identities ---------------------------------------------------------------------------


def test_dry_run_tells_the_sum_and_does_nothing(api: Api) -> None:
    images = [marked_png(), marked_png(), b"no image"]

    response = send(api, images, operation="watermark-removal", query="?dry_run=true")

    assert response.json()["data"] == {"price": {"credits": 4, "usd": "0.20"}, "valid": True}
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


def test_same_key_gives_the_same_batch_and_another_request_is_a_422(api: Api) -> None:
    key = {"Idempotency-Key": "night-1"}
    first = made(send(api, photos(2), **key))

    again = send(api, photos(2), **key)

    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json()["data"]["batchId"] == first["batchId"]
    assert again.json()["data"]["status"] == "finished"
    for other in (photos(3), photos(2)[::-1]):
        assert send(api, other, **key).status_code == 422
    assert send(api, photos(2), names=["a.png", "b.png"], **key).status_code == 422
    assert send(api, photos(2), params='{"output_format": "mask"}', **key).status_code == 422
    assert credits(api) == {"balance": 998, "held": 0}


def test_sixteen_at_once_with_one_key_are_one_batch_and_one_charge(api: Api) -> None:
    def ask(_: int) -> Any:
        try:
            while (answer := send(api, photos(5), **{"Idempotency-Key": "once"})).status_code == 503:
                pass  # the test database takes few connections at once
            return answer
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))

    assert {answer.status_code for answer in answers} <= {202, 409}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)
    assert len({answer.json()["data"]["batchId"] for answer in answers if answer.status_code == 202}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers if answer.status_code == 202) == 1
    work()
    assert (Batch.objects.count(), Job.objects.count()) == (1, 5)
    assert credits(api) == {"balance": 995, "held": 0}
    assert books_balance()


def test_sandbox_batch_is_free_and_marked(api: Api) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    done = shown(sandbox, made(send(sandbox, photos(2))))

    assert (done["status"], done["creditsCharged"], done["counts"]["succeeded"]) == ("finished", 0, 2)
    live = shown(api, made(send(api, photos(2))))
    assert live["items"][0]["image"]["sha256"] != done["items"][0]["image"]["sha256"]
    assert credits(api)["balance"] == 998


def test_rapidapi_is_told_the_sum_of_what_can_succeed(api: Api, settings: Any) -> None:
    settings.RAPIDAPI_SECRETS = [_SECRET]
    files = [upload(image, f"{number}.png") for number, image in enumerate([*photos(3), b"no image"])]

    sent = Client().post(PATH, {"operation": "remove-bg", "images": files}, headers=_GATEWAY)

    assert sent.status_code == 202
    assert sent.headers["X-RapidAPI-Billing"] == "Credits=3"
    data = sent.json()["data"]
    assert (data["creditsHeld"], data["counts"]["failed"]) == (0, 1)
    polled = Client().get(f"{PATH}/{data['batchId']}", headers=_GATEWAY)
    assert polled.headers["X-RapidAPI-Billing"] == "Credits=0"
    assert polled.json()["data"]["creditsCharged"] == 3


def test_jobs_at_once_neither_refuses_a_batch_nor_counts_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    free = make_api("small", plan="FREE", credits=100)
    asleep(monkeypatch)

    made(send(free, photos(20)))

    assert free.send(Prefer="respond-async").status_code == 202
    assert credits(free)["held"] == 21


def test_items_are_claimed_in_their_order_and_in_turns_with_others(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_api("other")
    asleep(monkeypatch)
    batch = made(send(api, photos(3)))
    single = other.send(Prefer="respond-async").json()["data"]["jobId"]

    claimed = [str(job.id) for _ in range(4) if (job := lifecycle.claim("w"))]

    mine = [item["jobId"] for item in batch["items"]]
    assert [job for job in claimed if job in mine] == mine
    assert claimed.index(single) <= 1
