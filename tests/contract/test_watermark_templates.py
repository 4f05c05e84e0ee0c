"""/v1/watermark-templates: a customer's own mark, given once and named in a removal."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from PIL import Image

from apps.accounts.models import Account, ApiKey
from apps.billing.models import Wallet
from apps.core import jobs
from apps.core.errors import AppError
from apps.core.models import IdempotencyKey, Job
from apps.core.places import Places
from apps.core.storage import ResultStore, StoreAwayError, result_store
from apps.core.sweeper import registered_rounds
from apps.core.work import worker
from apps.watermark import learning, templates
from apps.watermark.mark_opacity import refuse_without_mark
from apps.watermark.models import WatermarkTemplate
from ml.errors import TemplateError
from ml.watermark.template.mark import template_from_png
from tests import drawing
from tests.api import Api, error_of, make_api, upload
from tests.contract.books import asleep, credits
from tests.contract.links import inside, pixels
from tests.contract.objects import stored_below
from tests.watermarks import TEAL, MarksByColour, mark_png, marked_array, marked_png, photos

PATH = "/v1/watermark-templates"
REMOVE = "/v1/watermark-removal"
"""The colour of the customer's mark; the stand-in takes it for a mark only where the template says so."""

TEAL_BOX = (30, 30, 60, 40)


def make(api: Api, /, headers: dict[str, str] | None = None, **fields: Any) -> HttpResponse:
    return api.post(PATH, fields or {"image": upload(mark_png()), "name": "logo"}, **(headers or {}))


def made(response: HttpResponse) -> dict[str, Any]:
    assert response.status_code == 201, response.content
    assert response.headers["Location"] == f"{PATH}/{response.json()['data']['id']}"
    return response.json()["data"]


def remove(api: Api, template: str, **fields: Any) -> HttpResponse:
    photo = marked_array().copy()
    photo[inside(TEAL_BOX)] = TEAL
    return api.post(REMOVE, {"image": upload(drawing.saved(photo, "PNG")), "template": template, **fields})


# --- make, look, delete -----------------------------------------------------------------------------------


def test_png_with_alpha_becomes_a_template_that_finds_this_mark_alone(api: Api) -> None:
    template = made(make(api))

    assert (template["name"], template["kind"], template["files"]) == ("logo", "png", 1)
    assert (template["width"], template["height"], template["bytes"]) == (50, 20, len(mark_png()))
    response = remove(api, template["id"])
    mask = pixels(response.json()["data"]["mask"]["url"])
    assert (mask[inside(TEAL_BOX)] == 255).all()
    assert (mask == 255).sum() == 30 * 10  # the other mark stays
    assert "template" in response.json()["meta"]["stagesMs"]


@pytest.mark.parametrize("field", ["images", "images[]"])
def test_marked_photos_become_a_template(api: Api, field: str) -> None:
    template = made(make(api, **{field: photos(4)}))

    assert (template["name"], template["kind"], template["files"]) == ("", "photos", 4)
    assert (template["width"], template["height"]) == (120, 90)


def test_list_and_one_of_it(api: Api) -> None:
    first, second = made(make(api)), made(make(api, images=photos()))

    assert api.get(PATH).json()["data"] == {"templates": [second, first]}
    assert api.get(f"{PATH}/{first['id']}").json()["data"] == first


def test_template_is_free_and_kept_until_it_is_deleted(api: Api) -> None:
    template = made(make(api))
    row = WatermarkTemplate.objects.get()
    WatermarkTemplate.objects.update(created_at=timezone.now() - timedelta(days=400))
    registered_rounds()["watermark_templates"]()
    assert stored_below(row.prefix) == row.keys
    rules = result_store()._call("get_bucket_lifecycle_configuration")["Rules"]
    assert not any(row.prefix.startswith(rule["Filter"]["Prefix"]) for rule in rules)

    deleted = api.delete(f"{PATH}/{template['id']}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert stored_below(row.prefix) == []
    assert not WatermarkTemplate.objects.exists()
    assert api.get(f"{PATH}/{template['id']}").status_code == 404
    assert api.delete(f"{PATH}/{template['id']}").status_code == 404
    assert error_of(remove(api, template["id"])) == (400, "VALIDATION_ERROR", ["template"])
    assert credits(api) == {"balance": 1000, "held": 0}


def test_template_of_another_account_is_none(api: Api) -> None:
    template, other = made(make(api)), make_api("other")

    assert other.get(f"{PATH}/{template['id']}").status_code == 404
    assert other.delete(f"{PATH}/{template['id']}").status_code == 404
    assert other.get(PATH).json()["data"] == {"templates": []}
    assert error_of(remove(other, template["id"])) == (400, "VALIDATION_ERROR", ["template"])
    assert not Job.objects.exists()
    assert WatermarkTemplate.objects.count() == 1


def test_templates_of_a_deleted_account_vanish(api: Api) -> None:
    owner = make_api("owner", credits=0)
    made(make(owner))
    row = WatermarkTemplate.objects.get()
    ApiKey.objects.filter(account=owner.account).delete()
    Wallet.objects.filter(account=owner.account).delete()
    Account.objects.get(id=owner.account.id).delete()

    assert registered_rounds()["watermark_templates"]() == 1

    assert stored_below(row.prefix) == []
    assert not WatermarkTemplate.objects.exists()


def test_scope_is_that_of_watermark_removal(api: Api) -> None:
    narrow, wide = make_api("narrow", scopes=["remove-bg"]), make_api("wide", scopes=["watermark-removal"])

    assert error_of(make(narrow))[:2] == (403, "FORBIDDEN")
    assert error_of(narrow.get(PATH))[:2] == (403, "FORBIDDEN")
    assert made(make(wide))


def test_no_credential_and_other_methods(api: Api) -> None:
    assert Client().get(PATH).status_code == 401
    assert Client().put(PATH).status_code == 405
    assert api.post(f"{PATH}/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11").status_code == 405


# --- files ------------------------------------------------------------------------------------------------


def opaque(mode: str) -> bytes:
    return drawing.saved(Image.new(mode, (40, 40), 120), "PNG")


def narrow(number: int) -> bytes:
    return drawing.saved(np.full((300, 7, 3), number, np.uint8), "PNG")


def mark_of(width: int, height: int, *, size_wh: tuple[int, int] | None = None, opaque_px: int | None = None) -> bytes:
    """A mark of this size in a corner of a clear picture, or only so many pixels of it."""
    across, down = size_wh or (width + 2, height + 2)
    opacity = np.zeros((down, across), np.uint8)
    opacity[:height, :width] = 255
    if opaque_px is not None:
        opacity[:] = 0
        opacity.reshape(-1)[:opaque_px] = 255
    return drawing.saved(np.dstack([np.full((down, across, 3), TEAL, np.uint8), opacity]), "PNG")


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"name": "nothing"}, "image", "required"),
        ({"image": upload(b"")}, "image", "required"),
        ({"image": "text"}, "image", "file part"),
        ({"images": "text"}, "images", "file part"),
        ({"image": upload(mark_png()), "images": photos()}, "image", "photos as images"),
        ({"image": [upload(mark_png())] * 2}, "image", "one file"),
        ({"image": upload(opaque("RGB"))}, "image", "alpha"),
        ({"image": upload(opaque("L"))}, "image", "alpha"),
        ({"image": upload(drawing.saved(marked_array(), "JPEG"))}, "image", "PNG"),
        ({"image": upload(mark_png()[:-20])}, "image", "truncated"),
        ({"image": upload(mark_png() + bytes(25 * 1_048_576))}, "image", "25 MB"),
        ({"image": upload(mark_png(alpha=0))}, "image", "transparent"),
        ({"image": upload(mark_png(alpha=5))}, "image", "transparent"),
        ({"image": upload(mark_of(20, 15, opaque_px=15))}, "image", "transparent"),
        ({"image": upload(mark_of(7, 30))}, "image", "7 x 30 px"),
        ({"image": upload(mark_of(30, 7, size_wh=(60, 60)))}, "image", "30 x 7 px"),
        ({"image": upload(mark_of(4097, 9))}, "image", "4097 x 9 px"),
        ({"image": upload(mark_of(20, 20, size_wh=(20, 20)))}, "image", "Nothing in the PNG is transparent"),
        ({"images": photos(2)}, "images", "3 to 10"),
        ({"images": [*photos(3), photos(1)[0]]}, "images", "same file"),
        ({"images": [upload(narrow(number)) for number in range(3)]}, "images", "8 px"),
        ({"images": photos(11)}, "images", "3 to 10"),
        ({"images": [*photos(2), upload(marked_png(size_wh=(121, 90)))]}, "images", "120 x 90"),
        ({"images": [*photos(2), upload(b"%PDF")]}, "images", "PDF"),
        ({"images": [*photos(2), upload(drawing.saved(marked_array(), "JPEG")[:-60])]}, "images", "truncated"),
        ({"images": [*photos(2), upload(drawing.jpeg_of_scans(600))]}, "images", "scans"),
        ({"images": [*photos(2), upload(b"")]}, "images", "required"),
        ({"images": [*photos(2), upload(marked_png() + bytes(25 * 1_048_576))]}, "images", "25 MB"),
        ({"image": upload(mark_png()), "name": "x" * 101}, "name", "100"),
    ],
)
def test_wrong_files_are_a_400_on_their_field(api: Api, fields: dict[str, Any], field: str, word: str) -> None:
    response = make(api, **fields)

    assert error_of(response) == (400, "VALIDATION_ERROR", [field])
    assert word in response.json()["error"]["message"] + response.json()["error"]["details"][0]["issue"]
    assert not WatermarkTemplate.objects.exists()


def test_photos_of_phones_without_an_end_marker_or_with_a_film_behind_it_are_taken(api: Api) -> None:
    whole = drawing.saved(marked_array(), "JPEG", quality=95)

    response = make(
        api, images=[upload(whole), upload(whole[:-2]), upload(whole[:-2] + b"\0\0\0\x18ftypmp42" + bytes(999))]
    )

    assert response.status_code == 201, response.content


def test_photos_with_too_many_pixels_together_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.watermark.template_files.MOST_PIXELS", 3 * 120 * 90 - 1)

    assert error_of(make(api, images=photos())) == (400, "VALIDATION_ERROR", ["images"])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_nothing_that_is_clear_is_a_mark_in_any_kind_of_transparency(api: Api, mode: str) -> None:
    clear = Image.open(io.BytesIO(mark_of(0, 0, size_wh=(40, 40))))
    picture = clear.convert(mode) if mode != "P" else clear.quantize(8)

    assert error_of(make(api, image=upload(drawing.saved(picture, "PNG")))) == (400, "VALIDATION_ERROR", ["image"])


def test_what_is_refused_at_once_is_what_the_worker_would_refuse() -> None:
    def is_refused(ask: Callable[[], object], refusal: type[Exception]) -> bool:
        try:
            ask()
        except refusal:
            return True
        return False

    for data in [mark_png(alpha=5), mark_png(alpha=6), mark_png(), mark_of(8, 8), mark_of(7, 8), mark_of(20, 20, opaque_px=16),
                 mark_of(9, 9, size_wh=(9, 9)), mark_of(9, 4096), mark_of(9, 4097)]:  # fmt: skip
        mark = np.asarray(Image.open(io.BytesIO(data)))
        at_once = is_refused(partial(refuse_without_mark, io.BytesIO(data)), AppError)
        assert at_once == is_refused(partial(template_from_png, mark), TemplateError), mark.shape


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_every_kind_of_transparency_counts(api: Api, mode: str) -> None:
    with_alpha = Image.open(io.BytesIO(mark_png()))
    mark = with_alpha.convert(mode) if mode != "P" else with_alpha.quantize(8)

    assert made(make(api, image=upload(drawing.saved(mark, "PNG"))))["kind"] == "png"


def test_other_bodies_and_sizes(api: Api) -> None:
    headers = {"X-Api-Key": api.key}
    text = Client().post(PATH, b"hello", content_type="text/plain", headers=headers)
    big = Client().post(
        PATH, b"", content_type="application/json", headers={**headers, "Content-Length": str(70 * 2**20 + 1)}
    )

    assert (text.status_code, big.status_code) == (415, 413)
    assert error_of(api.post(PATH, {"image": "AAAA"}, as_json=True)) == (400, "VALIDATION_ERROR", ["image"])
    assert error_of(api.post(PATH, {}, as_json=True)) == (400, "VALIDATION_ERROR", ["image"])


def test_account_has_so_many_templates_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 2)
    first = made(make(api))
    made(make(api))

    assert error_of(make(api)) == (400, "VALIDATION_ERROR", ["image"])
    assert made(make(make_api("other")))
    api.delete(f"{PATH}/{first['id']}")
    assert made(make(api))


# --- use --------------------------------------------------------------------------------------------------


def test_template_that_nothing_can_be_learned_from_fails_the_removal_uncharged(api: Api) -> None:
    template = made(make(api, image=upload(mark_of(0, 0, size_wh=(2001, 2000)))))  # too large to be asked at once

    response = remove(api, template["id"])

    assert error_of(response) == (400, "VALIDATION_ERROR", ["template"])
    assert "transparent" in response.json()["error"]["message"]
    assert credits(api) == {"balance": 1000, "held": 0}


def test_template_deleted_before_its_job_runs_fails_it_uncharged(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    template = made(make(api))
    assert remove(api, template["id"]).status_code == 200  # the worker remembers it
    with monkeypatch.context() as patch:
        asleep(patch)
        photo = upload(marked_png())
        accepted = api.post(REMOVE, {"image": photo, "template": template["id"]}, Prefer="respond-async")
    api.delete(f"{PATH}/{template['id']}")

    jobs.tasks.run_next()

    job = api.get(accepted.headers["Location"]).json()["data"]
    assert (job["status"], job["error"]["details"][0]["field"]) == ("failed", "template")
    assert credits(api) == {"balance": 998, "held": 0}


def test_files_are_read_once_for_many_removals(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = []
    learn = learning._learn
    monkeypatch.setattr(learning, "_learn", lambda template, how: learned.append(template.id) or learn(template, how))
    template = made(make(api))

    for _ in range(3):
        assert remove(api, template["id"]).status_code == 200

    assert len(learned) == 1


@pytest.fixture
def learned_from(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, ...]]]:
    """The shapes of the photos of each time that a mark was learned; a stand-in finds it in no time."""
    seen: list[list[tuple[int, ...]]] = []
    mark = template_from_png(np.asarray(Image.open(io.BytesIO(mark_png()))))

    def learn(_: MarksByColour, given: list[Any]) -> Any:
        seen.append([photo.shape for photo in given])
        return mark

    monkeypatch.setattr(MarksByColour, "learn", learn)
    return seen


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker that has just started."""
    runner = worker.this_worker()._runners["watermark-removal"]
    monkeypatch.setattr(runner, "_templates", learning.TemplateMemory(MarksByColour()))


def test_what_was_learned_from_photos_is_kept_for_other_workers_and_goes_with_the_template(
    api: Api, monkeypatch: pytest.MonkeyPatch, learned_from: list[Any]
) -> None:
    template = made(make(api, images=photos()))
    row = WatermarkTemplate.objects.get()
    assert remove(api, template["id"]).json()["data"]["detected"]
    assert stored_below(row.prefix) == [*row.keys, row.learned_key]

    forget(monkeypatch)

    assert remove(api, template["id"]).json()["data"]["detected"]
    assert learned_from == [[(90, 120, 3)] * 3]
    api.delete(f"{PATH}/{template['id']}")
    assert stored_below(row.prefix) == []


def test_mark_that_can_no_longer_be_read_is_learned_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, learned_from: list[Any]
) -> None:
    template = made(make(api, images=photos()))
    result_store().put(WatermarkTemplate.objects.get().learned_key, b"of another version", content_type="image/png")

    assert remove(api, template["id"]).json()["data"]["detected"]

    assert len(learned_from) == 1


def test_nothing_is_left_of_a_template_that_was_deleted_while_it_was_learned(api: Api) -> None:
    made(make(api))
    row = WatermarkTemplate.objects.get()
    templates.discard(row)

    templates.keep_learned(row, b"mark")

    assert stored_below(row.prefix) == []


def test_large_photos_are_learned_from_at_a_size_that_takes_seconds(
    api: Api, monkeypatch: pytest.MonkeyPatch, learned_from: list[Any]
) -> None:
    monkeypatch.setattr(learning, "_LEARNED_PIXELS", 3 * 60 * 45)
    template = made(make(api, images=photos()))

    assert remove(api, template["id"]).status_code == 200

    assert learned_from == [[(45, 60, 3)] * 3]


def test_id_is_taken_in_any_case(api: Api) -> None:
    assert remove(api, made(make(api))["id"].upper()).status_code == 200


# --- keys and mishaps -------------------------------------------------------------------------------------


def test_key_gives_the_first_template_again(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = make(api, key)

    again = make(api, key)
    other = make(api, key, image=upload(mark_png((1, 2, 3))))

    assert made(again) == made(first)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert WatermarkTemplate.objects.count() == 1
    assert made(make(make_api("other"), key))["id"] != made(first)["id"]


def test_key_of_a_job_is_none_for_a_template(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    assert api.send(**key).status_code == 200

    assert make(api, key).status_code == 422


def test_key_of_a_template_is_none_for_a_job(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    made(make(api, key))

    answer = api.send(**key)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "IDEMPOTENCY_MISMATCH")


def test_key_is_free_after_a_day_and_no_earlier_for_a_deletion(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    a_day_ago = timezone.now() - timedelta(hours=25)
    first = made(make(api, key))
    for rows in (WatermarkTemplate, IdempotencyKey):
        rows.objects.update(created_at=a_day_ago)
    second = made(make(api, key))
    api.delete(f"{PATH}/{second['id']}")

    gone = make(api, key)
    IdempotencyKey.objects.update(created_at=a_day_ago)
    third = made(make(api, key))

    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "GONE")
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_dry_run_makes_nothing(api: Api) -> None:
    response = api.post(f"{PATH}?dry_run=true", {"image": upload(mark_png())})

    assert response.json()["data"] == {"price": {"credits": 0, "usd": "0.00"}, "valid": True}
    assert not WatermarkTemplate.objects.exists()


def test_store_that_is_away_is_a_503_and_leaves_no_template(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreAwayError

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "put", away)
        patch.setattr(ResultStore, "delete", away)
        assert make(api).status_code == 503
    assert api.get(PATH).json()["data"] == {"templates": []}

    assert registered_rounds()["watermark_templates"]() == 1
    assert not WatermarkTemplate.objects.exists()


def test_upload_that_never_ended_is_swept_after_an_hour(api: Api) -> None:
    made(make(api))
    row = WatermarkTemplate.objects.get()
    WatermarkTemplate.objects.update(stored_at=None)
    assert registered_rounds()["watermark_templates"]() == 0
    assert api.get(PATH).json()["data"] == {"templates": []}

    WatermarkTemplate.objects.update(created_at=timezone.now() - timedelta(hours=2))

    assert registered_rounds()["watermark_templates"]() == 1
    assert stored_below(row.prefix) == []


def test_large_upload_needs_a_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_places", Places(1))

    with jobs.waiting_room(0):
        assert make(api, image=upload(mark_png() + bytes(2_000_000))).status_code == 503
        assert make(api).status_code == 201


def test_admin_deletes_the_files_too(api: Api, admin_client: Client) -> None:
    made(make(api))
    row = WatermarkTemplate.objects.get()
    assert admin_client.get("/admin/watermark/watermarktemplate/").status_code == 200
    assert admin_client.get(f"/admin/watermark/watermarktemplate/{row.id}/change/").status_code == 200

    admin_client.post(f"/admin/watermark/watermarktemplate/{row.id}/delete/", {"post": "yes"})

    assert not WatermarkTemplate.objects.exists()
    assert stored_below(row.prefix) == []


def test_document_describes_them() -> None:
    from apps.core.openapi.document import openapi_document

    paths = openapi_document()["paths"]

    assert set(paths[PATH]) == {"get", "post"}
    assert set(paths[f"{PATH}/{{template_id}}"]) == {"get", "delete"}
    form = paths[PATH]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(form) == {"name", "image", "images"}
    assert "201" in paths[PATH]["post"]["responses"]
