"""AILabTools' form: a customer of theirs changes the base URL and nothing else."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.http import HttpResponse
from django.test import Client
from PIL import Image

from apps.clothing.runner import CostumeRunner
from apps.core import jobs
from apps.core.broker import broker
from apps.core.models import IdempotencyKey, Job, State
from apps.core.storage import StoreAwayError
from apps.core.work import worker
from apps.core.work.engine import Engine
from ml.models import Models
from ml.sessions.slots import InferenceSlots
from tests import drawing
from tests.api import Api, make_api, upload
from tests.contract.books import asleep, books_balance, credits
from tests.contract.objects import is_gone, lives_s, stored_below
from tests.contract.samples import same_as_sample
from tests.garments import BOXES, COLOURS, DRESSED, garments_png, plain
from tests.stand_ins import StandInModels

PATH = "/api/cutout/general/apparel-background-removal"
JSON = "application/json"
SEVEN = ["tops", "coat", "skirt", "pants", "bag", "shoes", "hat"]


@pytest.fixture(autouse=True)
def _fresh_limits() -> Iterator[None]:
    yield
    for key in broker().scan_iter("keyline:rate:*"):
        broker().delete(key)


def call(
    api: Api, image: bytes | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any
) -> HttpResponse:
    """POST a form as their documentation shows it, the key in their header."""
    image = garments_png() if image is None else image
    headers = {"ailabapi-api-key": api.key, **(headers or {})}
    client = Client(raise_request_exception=False)
    return client.post(PATH, {"image": upload(image), **fields}, headers=headers)


def links_of(response: HttpResponse) -> tuple[str, dict[str, str]]:
    """The first element's URL, and the second one's by class."""
    assert response.status_code == 200, response.content
    first, second = response.json()["data"]["elements"]
    return first["image_url"], second["class_url"]


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url) as answer:
        return Image.open(io.BytesIO(answer.read()))


def assert_failed(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The whole form of a failure, whatever went wrong."""
    body = response.json()
    assert list(body) == ["request_id", "log_id", "error_code", "error_msg", "error_detail"]
    assert list(body["error_detail"]) == ["status_code", "code", "code_message", "message"]
    told = (response.status_code, body["error_code"], body["error_detail"]["status_code"], body["error_detail"]["code"])
    assert told == (status, status, status, code)
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert body["error_msg"]
    assert body["error_detail"]["code_message"]
    return body


# --- the form of request and answer -----------------------------------------------------------------------


def test_answer_is_the_recorded_one(api: Api) -> None:
    response = call(api, cloth_class="tops,coat", return_form="whiteBK", out_mode="1")

    assert response.status_code == 200
    assert same_as_sample(response.json(), "costume")
    assert response.json()["request_id"] == response.headers["X-Request-Id"]
    assert response.headers["X-Credits-Charged"] == "2"


def test_failure_is_the_recorded_one(api: Api) -> None:
    response = call(api, cloth_class="coat")

    assert response.status_code == 422
    assert same_as_sample(response.json(), "costume-refused")


def test_by_default_seven_classes_as_four_channel_pngs(api: Api) -> None:
    image_url, class_url = links_of(call(api))

    assert list(class_url) == SEVEN
    assert {name for name, url in class_url.items() if url} == set(BOXES)
    assert {url for name, url in class_url.items() if name not in BOXES} == {""}
    for name, (x0, y0, x1, y1) in BOXES.items():
        picture = fetched(class_url[name])
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (120, 120))
        assert picture.getpixel(((x0 + x1) // 2, (y0 + y1) // 2)) == (*COLOURS[name], 255)
    assert fetched(image_url).getpixel((60, 40)) == (*COLOURS["tops"], 255)
    links = [image_url, *filter(None, class_url.values())]
    assert [lives_s(url) for url in links] == [pytest.approx(24 * 3600, abs=20)] * 6


@pytest.mark.parametrize("classes", ["hat,tops", " TOPS,hat", ["hat", "tops"]])
def test_class_url_holds_the_classes_that_were_asked_for(api: Api, classes: Any) -> None:
    assert list(links_of(call(api, cloth_class=classes))[1]) == ["tops", "hat"]


@pytest.mark.parametrize(("form", "mode"), [("mask", "L"), ("whiteBK", "RGB"), ("", "RGBA")])
def test_return_forms(api: Api, form: str, mode: str) -> None:
    image_url, class_url = links_of(call(api, return_form=form))

    assert {fetched(url).mode for url in (image_url, *filter(None, class_url.values()))} == {mode}


@pytest.mark.parametrize("mode", ["0", "1", ""])
def test_out_mode_is_taken(api: Api, mode: str) -> None:
    assert call(api, out_mode=mode).status_code == 200


def test_dress_counts_as_skirt(api: Api) -> None:
    _, class_url = links_of(call(api, garments_png(DRESSED), dress="separate"))

    assert list(class_url) == SEVEN
    assert class_url["skirt"]


@pytest.mark.parametrize("accept", ["*/*", JSON, "image/png", "text/html"])
def test_answer_is_json_whatever_is_accepted(api: Api, accept: str) -> None:
    assert len(links_of(call(api, headers={"Accept": accept}))) == 2


@pytest.mark.parametrize("header", ["ailabapi-api-key", "X-Api-Key", "X-RapidAPI-Key", "Authorization"])
def test_every_key_header_counts(api: Api, header: str) -> None:
    value = f"Bearer {api.key}" if header == "Authorization" else api.key

    response = Client().post(PATH, {"image": upload(garments_png())}, headers={header: value})

    assert response.status_code == 200


# --- errors -----------------------------------------------------------------------------------------------

PHOTO = garments_png()


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"", 400, "MISSING_PARAMETERS"),
        (b"%PDF-1.4 no image", 415, "UNSUPPORTED_FILE_TYPES"),
        (b"text, no image", 415, "UNSUPPORTED_FILE_TYPES"),
        (plain(100, 100, "WEBP"), 415, "UNSUPPORTED_FILE_TYPES"),
        (plain(100, 100, "GIF"), 415, "UNSUPPORTED_FILE_TYPES"),
        (PHOTO[:30], 422, "FILE_DECODING_FAILURE"),
        (plain(50, 100), 422, "ERROR_LOW_RESOLUTION"),
        (plain(100, 50), 422, "ERROR_LOW_RESOLUTION"),
        (drawing.png_claiming(3000, 100), 413, "FILE_RESOLUTION_EXCEEDS_LIMITS"),
        (drawing.png_claiming(100, 3000), 413, "FILE_RESOLUTION_EXCEEDS_LIMITS"),
        (PHOTO + bytes(5 * 1_048_576), 413, "FILE_SIZE_EXCEEDS_LIMIT"),
    ],
)
def test_wrong_files_have_their_code_and_cost_nothing(api: Api, image: bytes, status: int, code: str) -> None:
    body = assert_failed(call(api, image), status, code)

    assert "image" in body["error_detail"]["message"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cloth_class": "socks"}, "UNSUPPORTED_PARAMETER_VALUES"),
        ({"cloth_class": "tops,dress"}, "UNSUPPORTED_PARAMETER_VALUES"),
        ({"cloth_class": ","}, "ERROR_INVALID_PARAMETER"),
        ({"return_form": "rgba"}, "UNSUPPORTED_PARAMETER_VALUES"),
        ({"return_form": "jpeg"}, "UNSUPPORTED_PARAMETER_VALUES"),
        ({"out_mode": "2"}, "UNSUPPORTED_PARAMETER_VALUES"),
    ],
)
def test_wrong_values_have_their_code_and_name_their_field(api: Api, fields: dict[str, str], code: str) -> None:
    body = assert_failed(call(api, **fields), 400, code)

    assert next(iter(fields)) in body["error_detail"]["message"]
    assert not Job.objects.exists()


def test_missing_image_and_images_that_are_no_file(api: Api) -> None:
    assert_failed(api.post(PATH, {"cloth_class": "tops"}), 400, "MISSING_PARAMETERS")
    assert_failed(api.post(PATH, {"image_url": "https://example.com/a.png"}), 400, "MISSING_PARAMETERS")
    assert_failed(api.post(PATH, {}, as_json=True), 400, "MISSING_PARAMETERS")
    assert_failed(api.post(PATH, {"image": "text"}), 400, "ERROR_INVALID_PARAMETER")
    assert_failed(api.post(PATH, {"image": [upload(PHOTO), upload(PHOTO)]}), 400, "ERROR_INVALID_PARAMETER")
    assert not Job.objects.exists()


def test_other_methods_paths_types_and_sizes(api: Api) -> None:
    headers = {"X-Api-Key": api.key}
    text = Client().post(PATH, b"hello", content_type="text/plain", headers=headers)
    cut_off = Client().post(PATH, b"--x\r\n", content_type="multipart/form-data; boundary=x", headers=headers)
    big = Client().post(PATH, b"", content_type=JSON, headers={**headers, "Content-Length": str(16 * 2**20)})
    get = api.get(PATH)

    assert_failed(get, 405, "ERROR_INVALID_PARAMETER")
    assert get.headers["Allow"] == "POST"
    assert_failed(api.post("/api/cutout/general/universal-background-removal", {}), 404, "ERROR_INVALID_PARAMETER")
    assert_failed(text, 415, "UNSUPPORTED_FILE_TYPES")
    assert_failed(cut_off, 400, "ERROR_INVALID_PARAMETER")
    assert_failed(big, 413, "FILE_SIZE_EXCEEDS_LIMIT")


def test_credentials_have_their_own_statuses(api: Api) -> None:
    nobody = Client().post(PATH, {"image": upload(PHOTO)})
    two = call(api, headers={"X-Api-Key": "kl_live_other"})

    assert_failed(nobody, 401, "ERROR_USER_NOT_EXISTS")
    assert_failed(call(Api(key="wrong", account=None)), 401, "ERROR_USER_NOT_EXISTS")
    assert_failed(call(make_api("narrow", scopes=["remove-bg"])), 403, "ERROR_USER_LOCKED")
    assert_failed(two, 400, "ERROR_INVALID_PARAMETER")
    assert call(make_api("wide", scopes=["apparel-background-removal"])).status_code == 200


def test_no_credits_and_too_many_requests_are_both_429(api: Api) -> None:
    poor, hurried = make_api("poor", credits=1), make_api("hurried", plan="FREE")
    assert_failed(call(poor), 429, "ERROR_NOT_ENOUGH_CREDITS")
    assert not Job.objects.exists()

    asked = (hurried.get("/v1/account").status_code for _ in range(300))  # a slow machine gets some back meanwhile
    assert 429 in asked
    response = call(hurried)

    assert_failed(response, 429, "EXCEEDING_LIMITS")
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_too_many_jobs_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    free = make_api("free", plan="FREE")
    asleep(monkeypatch)
    for _ in range(4):
        assert free.send(Prefer="respond-async").status_code == 202

    assert_failed(call(free), 429, "EXCEEDING_LIMITS")


def test_no_garment_is_told_and_free(api: Api) -> None:
    flat = call(api, drawing.photo_png(100, 100, box=None))
    others = call(api, cloth_class="coat,pants")

    assert_failed(flat, 422, "ERROR_NO_RECOGNITION_TARGET_DETECTED")
    body = assert_failed(others, 422, "ERROR_NO_RECOGNITION_TARGET_DETECTED")
    assert "coat, pants" in body["error_detail"]["message"]
    assert {job.state for job in Job.objects.all()} == {State.FAILED}
    assert not any(stored_below(job.result_prefix) for job in Job.objects.all())
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_no_garment_is_a_final_answer_to_its_key(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    assert call(api, headers=key, cloth_class="coat").status_code == 422

    again = call(api, headers=key, cloth_class="coat")

    assert_failed(again, 422, "ERROR_NO_RECOGNITION_TARGET_DETECTED")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_file_that_fails_only_in_the_worker(api: Api) -> None:
    whole = drawing.photo_png(400, 300, noise=True)

    assert_failed(call(api, whole[: len(whole) // 2]), 422, "FILE_DECODING_FAILURE")
    assert credits(api) == {"balance": 1000, "held": 0}


def test_late_job_is_a_504_and_free(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    monkeypatch.setattr(jobs, "wait", lambda job, timeout_s: job)

    response = call(api, headers={"Prefer": "respond-async"})

    assert_failed(response, 504, "AI_SERVICE_TIMEOUT")
    assert Job.objects.get().state == State.CANCELLED
    assert credits(api) == {"balance": 1000, "held": 0}


class Broken:
    """A pipeline with a bug."""

    model_name, model_version, device, warnings = "broken", "1", "cpu", ()

    def run(self, *_: Any, **__: Any) -> None:
        raise ZeroDivisionError


def use(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    """Give the in-process worker other networks."""
    runner = CostumeRunner(Engine(models))
    monkeypatch.setitem(worker.this_worker()._runners, "apparel-background-removal", runner)


def test_pipeline_that_fails_is_a_500_and_free(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, StandInModels(clothing=Broken()))

    body = assert_failed(call(api), 500, "PROCESSING_FAILURE")

    assert "ZeroDivisionError" not in str(body)
    assert credits(api) == {"balance": 1000, "held": 0}


def test_worker_without_weights_is_a_503_and_free(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, Models(tmp_path, slots=InferenceSlots(1), made_here_dir=tmp_path))

    assert_failed(call(api), 503, "ERROR_INSUFFICIENT_RESOURCES")
    assert credits(api) == {"balance": 1000, "held": 0}


def test_store_that_is_away_is_a_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreAwayError

    monkeypatch.setattr("apps.core.storage.ResultStore.put", away)

    response = call(api)

    assert_failed(response, 503, "ERROR_INSUFFICIENT_RESOURCES")
    assert response.headers["Retry-After"]


def test_bug_is_a_500_that_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: Any, **__: Any) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(jobs, "submit", bug)

    body = assert_failed(call(api), 500, "SERVICE_INTERNAL_ERROR")

    assert "secret" not in str(body)


# --- money and repetition ---------------------------------------------------------------------------------


def test_success_costs_two_credits_once(api: Api) -> None:
    key = {"Idempotency-Key": "k"}

    first, again = call(api, headers=key), call(api, headers=key)

    assert (first.headers["X-Credits-Charged"], credits(api)) == ("2", {"balance": 998, "held": 0})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert [links.split("?")[0] for links in filter(None, links_of(again)[1].values())] == [
        links.split("?")[0] for links in filter(None, links_of(first)[1].values())
    ]
    assert again.json()["request_id"] != first.json()["request_id"]
    assert Job.objects.count() == 1
    assert books_balance()


def test_key_for_another_request_of_a_running_one_and_of_a_deleted_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "k"}
    job_id = call(api, headers=key).headers["X-Job-Id"]

    assert_failed(call(api, headers=key, cloth_class="hat"), 422, "ERROR_INVALID_PARAMETER")
    Job.objects.update(state=State.RUNNING)
    IdempotencyKey.objects.update(answered_status=None)
    running = call(api, headers=key)
    Job.objects.update(state=State.SUCCEEDED)
    api.delete(f"/v1/jobs/{job_id}")

    assert_failed(running, 409, "ERROR_INVALID_PARAMETER")
    assert running.headers["Retry-After"] == "2"
    assert_failed(call(api, headers=key), 410, "ERROR_INVALID_PARAMETER")
    assert credits(api)["balance"] == 998


def test_job_is_seen_and_deleted_with_all_its_objects_at_the_canonical_address(api: Api) -> None:
    response = call(api, cloth_class="tops,coat")
    image_url, class_url = links_of(response)

    job = api.get(f"/v1/jobs/{response.headers['X-Job-Id']}").json()["data"]
    assert (job["operation"], job["status"]) == ("apparel-background-removal", "succeeded")
    assert job["result"]["classes"]["tops"]["present"] is True
    assert job["result"]["classes"]["coat"]["url"] is None
    assert api.delete(f"/v1/jobs/{job['jobId']}").status_code == 204

    assert is_gone(image_url)
    assert is_gone(class_url["tops"])


def test_dry_run_checks_and_quotes(api: Api) -> None:
    good = api.post(f"{PATH}?dry_run=true", {"image": upload(PHOTO)})
    bad = api.post(f"{PATH}?dry_run=true", {"image": upload(PHOTO), "cloth_class": "socks"})
    neither = api.post(f"{PATH}?dry_run=perhaps", {"image": upload(PHOTO)})

    assert good.json()["data"] == {"price": {"credits": 2, "usd": "0.10"}, "valid": True}
    assert good.json()["error_code"] == 0
    assert_failed(bad, 400, "UNSUPPORTED_PARAMETER_VALUES")
    assert_failed(neither, 400, "ERROR_INVALID_PARAMETER")
    assert not Job.objects.exists()


def test_rapidapi_is_told_what_to_bill(api: Api, settings: Any) -> None:
    settings.RAPIDAPI_SECRETS = ["s" * 40]
    gateway = {"X-RapidAPI-Proxy-Secret": "s" * 40, "X-RapidAPI-User": "ann", "X-RapidAPI-Subscription": "PRO"}

    def billed(**fields: str) -> tuple[int, str]:
        response = Client().post(PATH, {"image": upload(garments_png()), **fields}, headers=gateway)
        return response.status_code, response.headers["X-RapidAPI-Billing"]

    assert billed() == (200, "Credits=2")
    assert billed(cloth_class="coat") == (422, "Credits=0")
    assert billed(cloth_class="socks") == (400, "Credits=0")


def test_sandbox_is_free_and_marked(api: Api) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    plain, marked = call(api), call(sandbox)

    assert marked.headers["X-Credits-Charged"] == "0"
    assert (np.asarray(fetched(links_of(plain)[0])) != np.asarray(fetched(links_of(marked)[0]))).any()


# --- the document -----------------------------------------------------------------------------------------


def test_document_describes_the_form_with_examples() -> None:
    from apps.core.openapi.document import openapi_document

    post = openapi_document()["paths"][PATH]["post"]

    body = post["requestBody"]["content"]
    assert set(body) == {"multipart/form-data"}
    assert set(body["multipart/form-data"]["schema"]["properties"]) == {
        "image", "cloth_class", "return_form", "out_mode",
    }  # fmt: skip
    answers = post["responses"]
    assert {
        "200",
        "400",
        "401",
        "403",
        "405",
        "409",
        "410",
        "413",
        "415",
        "422",
        "429",
        "500",
        "502",
        "503",
        "504",
    } == set(answers)
    assert list(answers["200"]["content"][JSON]["example"]) == [
        "request_id", "log_id", "error_code", "error_msg", "error_detail", "data",
    ]  # fmt: skip
    assert answers["422"]["content"][JSON]["example"]["error_detail"]["code"] == "ERROR_LOW_RESOLUTION"
