"""
PRODUCT section 5: declared length 413, path and method 404 405, credential 401 403, rate limit 429, fields 400, the URL's
fetch, image 400, idempotency 409 422, dry run, admission 503, hold 402. Whoever is wrong twice hears of the earlier.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import Account
from apps.accounts.plans import LIMITS, Plan
from apps.billing.models import Wallet
from apps.core import jobs
from apps.core.limits import Limits
from apps.core.models import Job
from apps.core.places import Places
from tests.api import Api, make_api, upload
from tests.drawing import photo_png

PATH = "/v1/remove-bg/human"
USED_KEY = "used"
OVER_THE_CAP = 31 * 1_048_576


@dataclass
class Wish:
    """A request, before it goes out; each fault spoils it in its own way."""

    key: str
    path: str = PATH
    method: str = "POST"
    fields: dict[str, Any] = field(default_factory=lambda: {"image": upload(photo_png())})
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None

    def send(self) -> HttpResponse:
        extra = {} if self.length is None else {"CONTENT_LENGTH": str(self.length)}
        headers = {"X-Api-Key": self.key, **self.headers}
        call = getattr(Client(raise_request_exception=False), self.method.lower())
        return call(self.path, self.fields, headers=headers, **extra)


def too_long(wish: Wish, scene: Scene) -> None:
    wish.length = OVER_THE_CAP


def no_such_path(wish: Wish, scene: Scene) -> None:
    wish.path = "/v1/remove-bg/nobody"


def wrong_method(wish: Wish, scene: Scene) -> None:
    wish.method = "GET"
    wish.fields = {}


def no_credential(wish: Wish, scene: Scene) -> None:
    wish.key = "kl_live_wrong"


def no_scope(wish: Wish, scene: Scene) -> None:
    wish.key = scene.scoped.key if wish.key == scene.api.key else wish.key


def too_fast(wish: Wish, scene: Scene) -> None:
    scene.allow_no_requests()


def wrong_field(wish: Wish, scene: Scene) -> None:
    wish.fields["output_format"] = "jpeg2000"


def wrong_query(wish: Wish, scene: Scene) -> None:
    wish.path += "?dry_run=maybe"


def wrong_url(wish: Wish, scene: Scene) -> None:
    wish.fields.pop("image", None)
    wish.fields["image_url"] = "http://10.0.0.1/photo.png"


def wrong_image(wish: Wish, scene: Scene) -> None:
    if "image" in wish.fields:
        wish.fields["image"] = upload(b"%PDF-1.7")


def key_of_another_request(wish: Wish, scene: Scene) -> None:
    wish.headers["Idempotency-Key"] = USED_KEY


def no_place(wish: Wish, scene: Scene) -> None:
    scene.fill_the_waiting_room()


def no_cover(wish: Wish, scene: Scene) -> None:
    scene.take_all_credits()


# In the contract's order. Where a fault's answer says it, the field that it names.
FAULTS: tuple[tuple[Callable[[Wish, Any], None], int, str | None], ...] = (
    (too_long, 413, "body"),
    (no_such_path, 404, None),
    (wrong_method, 405, None),
    (no_credential, 401, None),
    (no_scope, 403, None),
    (too_fast, 429, None),
    (wrong_field, 400, "output_format"),
    (wrong_query, 400, "dry_run"),
    (wrong_url, 400, "image_url"),
    (wrong_image, 400, "image"),
    (key_of_another_request, 422, None),
    (no_place, 503, None),
    (no_cover, 402, None),
)
IMPOSSIBLE = {
    (too_long, no_such_path),  # there is no cap where there is no address
    (no_such_path, wrong_method),
    (no_such_path, wrong_query),  # a query does not hide a path; said twice it would be another path
    (wrong_url, wrong_image),  # one source
    (wrong_url, no_place),  # a fetch holds its thread, so it needs a place itself
    (wrong_method, wrong_field), (wrong_method, wrong_url), (wrong_method, wrong_image),  # a GET without a body
}  # fmt: skip


@dataclass
class Scene:
    """The surroundings that a fault may spoil, restored after the test."""

    api: Api
    scoped: Api
    patch: pytest.MonkeyPatch

    def allow_no_requests(self) -> None:
        self.patch.setitem(LIMITS, Plan.CUSTOM, Limits(requests_a_minute=0, jobs_at_once=9))

    def fill_the_waiting_room(self) -> None:
        self.patch.setattr(jobs, "_places", Places(1))
        jobs._places.take(0)

    def take_all_credits(self) -> None:
        Wallet.objects.update(balance=0)

    def use_the_key(self) -> None:
        headers = {"Idempotency-Key": USED_KEY}
        assert self.api.post(PATH, {"image": upload(photo_png(50, 50))}, **headers).status_code == 200


@pytest.fixture
def scene(api: Api, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Scene:
    settings.FETCH_ALLOW_CIDRS = []
    return Scene(api, make_api("tester", credits=0, scopes=["clothing"]), monkeypatch)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(first, second, id=f"{first[0].__name__}-before-{second[0].__name__}")
        for first, second in itertools.combinations(FAULTS, 2)
        if (first[0], second[0]) not in IMPOSSIBLE
    ],
)
def test_of_two_faults_the_earlier_is_told(scene: Scene, first: Any, second: Any) -> None:
    (spoil, status, named), (spoil_too, _, _) = first, second
    wish = Wish(scene.api.key)
    if key_of_another_request in (spoil, spoil_too):
        scene.use_the_key()
    before = Job.objects.count()
    spoil(wish, scene)
    spoil_too(wish, scene)

    response = wish.send()

    assert response.status_code == status, response.content
    body = response.json()
    assert set(body) == {"meta", "data", "warnings", "error"}
    assert body["data"] is None
    assert response.headers["X-Request-Id"] == body["meta"]["requestId"]
    if named:
        assert [detail["field"] for detail in body["error"]["details"]] == [named]
    assert Job.objects.count() == before
    assert not Wallet.objects.filter(held__gt=0).exists()


@pytest.mark.parametrize(("spoil", "status"), [(no_cover, 200), (no_place, 200), (key_of_another_request, 422)])
def test_dry_run_stands_between_idempotency_and_admission(scene: Scene, spoil: Any, status: int) -> None:
    wish = Wish(scene.api.key, path=f"{PATH}?dry_run=true")
    scene.use_the_key()
    spoil(wish, scene)

    assert wish.send().status_code == status


@pytest.mark.parametrize("word", ["yes", "on", "tru", "2", "null", "\0"])
def test_dry_run_that_is_no_word_is_never_taken_for_no(api: Api, word: str) -> None:
    response = Client().post(
        PATH, {"image": upload(photo_png())}, headers={"X-Api-Key": api.key}, query_params={"dry_run": word}
    )

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "dry_run"
    assert not Job.objects.exists()


def test_locked_account_is_refused_before_its_fields_are_read(scene: Scene) -> None:
    Account.objects.update(is_active=False)
    wish = Wish(scene.api.key)
    wrong_field(wish, scene)

    assert wish.send().status_code == 401


def test_what_may_hold_its_thread_needs_a_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_places", Places(1))
    large = photo_png() + bytes(2_000_000)

    with jobs.waiting_room(0):
        fetched = api.post(PATH, {"image_url": "http://127.0.0.1:1/photo.png"})
        stored = api.post(PATH, {"image": upload(large)}, Prefer="respond-async")
        quick = api.post(PATH, {"image": upload(photo_png())}, Prefer="respond-async")

    assert (fetched.status_code, stored.status_code, quick.status_code) == (503, 503, 202)
    assert fetched.headers["Retry-After"]
    assert api.post(PATH, {"image": upload(large)}, Prefer="respond-async").status_code == 202


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png", "http://localhost/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/",
        "http://127.1/", "http://0/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/", "http://[fd00::1]/", "http://[64:ff9b::a00:1]/", "http://[2002:a00:1::]/", "http://224.0.0.1/",
        "file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://example.com/", "data:image/png;base64,AAAA", "//example.com/",
        "http://user:secret@example.com/", "http://example.com\\@127.0.0.1/", "http://example.com:0/", "http://x y/", "http://",
    ],
)  # fmt: skip
def test_no_client_reaches_the_inside_by_a_url(api: Api, settings: Any, url: str) -> None:
    settings.FETCH_ALLOW_CIDRS = []

    response = api.post(PATH, {"image_url": url}, as_json=True)

    assert response.status_code == 400
    error = response.json()["error"]
    assert [detail["field"] for detail in error["details"]] == ["image_url"]
    assert "secret" not in response.content.decode()
    assert not Job.objects.exists()
