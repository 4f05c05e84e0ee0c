"""A batch by addresses: the `io` worker fetches, and each address answers for its own item alone."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from apps.batches import fetching
from apps.batches.models import Item
from apps.core import errands, lifecycle
from apps.core.models import Job, State
from apps.core.storage import ResultStore, StoreAwayError
from apps.core.sweeper import wake_forgotten
from tests import drawing
from tests.api import Api, error_of
from tests.contract.batch_calls import archive_of, made, send, send_json, shown, work
from tests.contract.books import asleep, books_balance, credits
from tests.contract.objects import stored_below


class Site(BaseHTTPRequestHandler):
    """`/photo/...` is one, `/text` is none, `/gone` is not there, `/moved` leads elsewhere."""

    asked: list[str] = []
    put: dict[str, str] = {}

    def do_GET(self) -> None:
        self.asked.append(self.path)
        is_photo = self.path.startswith("/photo")
        status = 200 if is_photo or self.path == "/text" else 302 if self.path == "/moved" else 404
        body = drawing.photo_png() if is_photo else b"no photo"
        self.send_response(status)
        self.send_header("Location", "/photo/a.png")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.put[self.path] = hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked, Site.put = [], {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def nobody_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "wake", lambda name: None)


def ask(api: Api, *urls: Any, **headers: str) -> Any:
    return send_json(api, {"operation": "remove-bg", "image_urls": list(urls)}, **headers)


def test_addresses_are_fetched_and_named(api: Api, site: str) -> None:
    named = {"url": f"{site}/photo/x", "name": "shoes/red.jpg"}

    batch = made(ask(api, f"{site}/photo/Zo%C3%AB%20blue.png?size=2", named, f"{site}/photo/"))

    done = shown(api, batch)
    assert [item["status"] for item in done["items"]] == ["succeeded"] * 3, done
    assert [item["name"] for item in done["items"]] == ["Zoë blue.png", "shoes/red.jpg", "image-3"]
    assert archive_of(api, batch).namelist() == ["manifest.json", "Zoë blue.png", "shoes/red.png", "image-3.png"]
    assert credits(api) == {"balance": 997, "held": 0}
    assert not Item.objects.exclude(source_url="").exists()  # it may be signed: it is not kept


def test_addresses_come_in_a_form_as_well(api: Api, site: str) -> None:
    batch = made(send(api, image_urls=f'["{site}/photo/a.png"]'))

    assert shown(api, batch)["counts"]["succeeded"] == 1


def test_each_refused_address_fails_its_own_item_alone(api: Api, site: str) -> None:
    urls = [
        f"{site}/gone",
        "http://10.0.0.7/a.png",
        f"{site}/moved",
        f"{site}/text",
        "ftp://shop.example/a.png",
        "nonsense",
    ]

    done = shown(api, made(ask(api, f"{site}/photo/a", *urls, f"{site}/photo/b")))

    assert [item["status"] for item in done["items"]] == ["succeeded", *["failed"] * 6, "succeeded"]
    for item in done["items"][1:7]:
        assert item["error"]["code"] == "VALIDATION_ERROR"
        assert [detail["field"] for detail in item["error"]["details"]] == ["image_url"]
    assert credits(api) == {"balance": 998, "held": 0}
    assert books_balance()


def test_answer_waits_for_no_address_and_nobody_claims_what_is_not_there(
    api: Api, site: str, nobody_fetches: None
) -> None:
    batch = made(ask(api, f"{site}/photo/a", f"{site}/photo/b", **{"Idempotency-Key": "k"}))

    again = ask(api, f"{site}/photo/a", f"{site}/photo/b", **{"Idempotency-Key": "k"})
    assert again.json()["data"]["batchId"] == batch["batchId"]
    assert (Site.asked, lifecycle.claim("w"), wake_forgotten()) == ([], None, 0)
    assert (batch["status"], batch["creditsHeld"]) == ("queued", 2)
    assert api.get(f"/v1/jobs/{batch['items'][0]['jobId']}").json()["data"]["status"] == "queued"
    assert ask(api, f"{site}/photo/b", f"{site}/photo/a", **{"Idempotency-Key": "k"}).status_code == 422
    assert fetching.count_due(10) == 2
    while fetching.fetch_next():
        pass
    work()
    assert shown(api, batch)["counts"]["succeeded"] == 2


def test_fetch_that_died_is_begun_again_when_its_lease_is_over(
    api: Api, site: str, nobody_fetches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = made(ask(api, f"{site}/photo/a"))

    class DiedError(BaseException):
        """The process is gone."""

    def die(*_: Any, **__: Any) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "fetch_image", die)
        with pytest.raises(DiedError):
            fetching.fetch_next()

    assert not fetching.fetch_next()
    Item.objects.update(fetch_at=timezone.now() - timedelta(seconds=1))
    assert fetching.fetch_next()
    assert shown(api, batch)["counts"]["succeeded"] == 1


def test_late_fetcher_says_nothing_of_what_another_has_taken(
    api: Api, site: str, nobody_fetches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(ask(api, f"{site}/gone"))
    real = fetching.fetch_image

    def late(*args: Any, **more: Any) -> Any:
        Item.objects.update(fetch_at=timezone.now() + timedelta(seconds=40))  # somebody else's lease
        return real(*args, **more)

    monkeypatch.setattr(fetching, "fetch_image", late)

    assert fetching.fetch_next()

    assert Job.objects.get().state == State.QUEUED


def test_store_that_is_away_is_asked_again(
    api: Api, site: str, nobody_fetches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = made(ask(api, f"{site}/photo/a"))

    def away(*_: Any, **__: Any) -> None:
        raise StoreAwayError

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "put", away)
        assert fetching.fetch_next()

    assert not fetching.fetch_next()
    Item.objects.update(fetch_at=timezone.now())
    assert fetching.fetch_next()
    assert shown(api, batch)["counts"]["succeeded"] == 1


def test_item_deleted_while_it_is_fetched_leaves_nothing(
    api: Api, site: str, nobody_fetches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = made(ask(api, f"{site}/photo/a"))
    real = ResultStore.put

    def deleted_meanwhile(self: Any, key: str, *args: Any, **more: Any) -> None:
        assert api.delete(f"/v1/batches/{batch['batchId']}").status_code == 204
        real(self, key, *args, **more)

    monkeypatch.setattr(ResultStore, "put", deleted_meanwhile)

    assert fetching.fetch_next()

    assert stored_below(Job.objects.get().input_prefix) == []
    assert credits(api) == {"balance": 1000, "held": 0}


def test_one_account_has_a_few_addresses_at_once(api: Api, nobody_fetches: None) -> None:
    made(ask(api, *[f"https://slow.example/{number}" for number in range(20)]))
    Item.objects.filter(index__lt=fetching.OF_ONE).update(fetch_at=timezone.now() + timedelta(seconds=30))

    assert not fetching.fetch_next()


def test_result_is_put_into_the_clients_bucket_and_a_wrong_address_fails_its_item(api: Api, site: str) -> None:
    urls = [
        {"url": f"{site}/photo/a", "upload_url": f"{site}/bucket/a.png?signature=x"},
        {"url": f"{site}/photo/b", "upload_url": "https://10.0.0.7/bucket/b.png"},
    ]

    done = shown(api, made(ask(api, *urls)))

    assert [item["status"] for item in done["items"]] == ["succeeded", "failed"]
    assert [detail["field"] for detail in done["items"][1]["error"]["details"]] == ["upload_url"]
    job = api.get(f"/v1/jobs/{done['items'][0]['jobId']}").json()["data"]
    assert job["delivery"] == {"status": "delivered", "attempts": 1, "lastStatus": 200}
    assert Site.put == {"/bucket/a.png?signature=x": done["items"][0]["image"]["sha256"]}
    assert credits(api) == {"balance": 999, "held": 0}


def test_101_addresses_and_one_that_is_too_long_are_refused(api: Api) -> None:
    assert error_of(ask(api, *["https://shop.example/a"] * 101))[2] == ["image_urls"]
    assert error_of(ask(api, "https://shop.example/" + "a" * 5000))[2] == ["image_urls.0.url"]


def test_single_jobs_go_on_while_addresses_are_slow(
    api: Api, nobody_fetches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(ask(api, "https://slow.example/a"))
    asleep(monkeypatch)
    job = api.send(Prefer="respond-async").json()["data"]["jobId"]

    claimed = lifecycle.claim("w")

    assert claimed is not None
    assert str(claimed.id) == job
