"""`points` and `box` on /v1/remove-bg: what they keep, and what is refused before anything is paid."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from apps.background.pointing import Pointing
from apps.background.runner import BackgroundRunner
from apps.core import broker
from apps.core.models import Job
from apps.core.work.engine import Engine, Runner, facts_of
from apps.core.work.worker import Worker, this_worker
from tests.api import Api, make_api, upload
from tests.drawing import exif_of, saved
from tests.stand_ins import OneColour, StandInModels

RED, BLUE = (140, 30, 30), (30, 40, 160)
ON_RED, ON_BLUE, NOWHERE = (50, 50), (150, 50), (100, 90)


def two_things(orientation: int = 1) -> bytes:
    """A 200 x 100 px PNG: a red square left and a blue square right, on light grey."""
    image = np.full((100, 200, 3), 225, np.uint8)
    image[25:75, 25:75], image[25:75, 125:175] = RED, BLUE
    return saved(image, "PNG", exif=exif_of(orientation))


def kept(response: Any) -> dict[str, bool]:
    """Which of the two squares the answer shows."""
    assert response.status_code == 200, response.content
    alpha = np.asarray(Image.open(io.BytesIO(response.content)))[..., 3]
    assert alpha[NOWHERE[1], NOWHERE[0]] == 0
    return {"red": bool(alpha[50, 50] > 250), "blue": bool(alpha[50, 150] > 250)}


def detail(response: Any) -> tuple[str, str]:
    """The one field at fault, and what is said about it."""
    assert response.status_code == 400, response.content
    (only,) = response.json()["error"]["details"]
    return only["field"], only["issue"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"points": "[[50, 50, 1]]"}, {"red": True, "blue": False}),
        ({"points": "[[150, 50, 1]]"}, {"red": False, "blue": True}),
        ({"points": "[[50, 50, 1], [150, 50, 1]]"}, {"red": True, "blue": True}),
        ({"box": "[120, 20, 180, 80]"}, {"red": False, "blue": True}),
        ({"box": "[20, 20, 180, 80]", "points": "[[150, 50, 0]]"}, {"red": True, "blue": False}),
        ({"box": "[120, 20, 180, 80]", "points": "[[50, 50, 1]]"}, {"red": True, "blue": True}),
    ],
)
def test_what_is_pointed_at_is_kept_and_nothing_else(api: Api, fields: dict[str, str], expected: object) -> None:
    response = api.remove(two_things(), **fields)

    assert kept(response) == expected
    assert response.headers["X-Credits-Charged"] == "1"


def test_json_body_takes_arrays_and_text(api: Api) -> None:
    image = base64.b64encode(two_things()).decode()

    arrays = api.post("/v1/remove-bg/human", {"image_base64": image, "points": [[50, 50, 1]]}, as_json=True)
    text = api.post("/v1/remove-bg/human", {"image_base64": image, "box": "[120, 20, 180, 80]"}, as_json=True)

    assert kept(arrays) == {"red": True, "blue": False}
    assert kept(text) == {"red": False, "blue": True}


def test_points_are_pixels_of_the_upright_photo(api: Api) -> None:
    """Stored upside down: what the client sees left lies right in the file."""
    photo = two_things(orientation=3)

    response = api.remove(photo, points="[[50, 50, 1]]")

    assert kept(response) == {"red": True, "blue": False}
    seen = np.asarray(Image.open(io.BytesIO(response.content)))
    assert seen[50, 50, 2] > seen[50, 50, 0], "upright, the blue square stands left"


def test_envelope_says_which_network_and_how_sure_it_was(api: Api) -> None:
    body = api.remove(two_things(), accept="application/json", points="[[50, 50, 1]]").json()

    assert body["meta"]["model"] == "one-colour@1"
    assert body["data"]["subject"]["confidence"] == 0.9
    assert body["data"]["subject"]["bbox"] == pytest.approx([25, 25, 50, 50], abs=2)


BAD_POINTS = [
    "nonsense",
    "{}",
    "[]",
    "7",
    "[1, 2, 1]",
    "[[50, 50]]",
    "[[50, 50, 1, 1]]",
    "[[50, 50, 2]]",
    "[[50, 50, -1]]",
    "[[50, 50, true]]",
    '[["50", 50, 1]]',
    "[[NaN, 50, 1]]",
    "[[Infinity, 50, 1]]",
    "[[1e999, 50, 1]]",
    f"[[{'9' * 400}, 50, 1]]",
    "[[null, 50, 1]]",
    "[[50, 50, 0]]",
    "[[-1, 50, 1]]",
    "[[50, -0.5, 1]]",
    "[[201, 50, 1]]",
    "[[50, 100.5, 1]]",
    json.dumps([[50, 50, 1]] * 51),
    json.dumps([[50, 50, 1]] * 10_000),
    "[" * 4000,
]
BAD_BOXES = [
    "nonsense",
    "[]",
    "[1, 2, 3]",
    "[1, 2, 3, 4, 5]",
    "[[1, 2, 3, 4]]",
    '{"x0": 1}',
    '[1, 2, 3, "4"]',
    "[1, 2, 3, false]",
    "[NaN, 2, 30, 40]",
    "[30, 2, 3, 40]",
    "[3, 40, 30, 2]",
    "[30, 20, 30, 40]",
    "[-1, 20, 30, 40]",
    "[0, 0, 201, 40]",
    "[0, 0, 20, 101]",
    "[300, 0, 400, 40]",
]


@pytest.mark.parametrize(
    ("field", "value"), [("points", each) for each in BAD_POINTS] + [("box", each) for each in BAD_BOXES]
)
def test_bad_input_names_its_field_and_costs_nothing(api: Api, field: str, value: str) -> None:
    response = api.remove(two_things(), **{field: value})

    name, issue = detail(response)
    assert name == field
    assert len(issue.split()) > 5
    assert issue.endswith(".")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("points", [[50, 50, 1]] * 1_000, "1000 points"),
        ("points", [[500, 50, 1]], "200 x 100 px"),
        ("box", [30, 2, 3, 40], "turned round"),
        ("box", [0, 0, 500, 40], "200 x 100 px"),
        ("points", True, "[[x, y, 1]"),
        ("box", {"x0": 1}, "[x0, y0, x1, y1]"),
    ],
)
def test_bad_arrays_say_why(api: Api, field: str, value: object, said: str) -> None:
    image = base64.b64encode(two_things()).decode()

    response = api.post("/v1/remove-bg/universal", {"image_base64": image, field: value}, as_json=True)

    assert detail(response)[0] == field
    assert said in detail(response)[1]


def test_points_that_only_drop_are_right_inside_a_box(api: Api) -> None:
    alone = api.remove(two_things(), points="[[50, 50, 0]]")

    assert "what to keep" in detail(alone)[1]
    assert kept(api.remove(two_things(), points="[[50, 50, 0]]", box="[20, 20, 180, 80]")) == {
        "red": False,
        "blue": True,
    }


def test_last_pixel_and_border_belong_to_the_photo(api: Api) -> None:
    assert api.remove(two_things(), points="[[200, 100, 1]]").status_code == 200
    assert api.remove(two_things(), box="[0, 0, 200, 100]").status_code == 200


def test_dry_run_checks_them_too(api: Api) -> None:
    path = "/v1/remove-bg/universal?dry_run=true"

    good = api.post(path, {"image": upload(two_things()), "points": "[[50, 50, 1]]"})
    bad = api.post(path, {"image": upload(two_things()), "points": "[[500, 50, 1]]"})

    assert good.json()["data"]["valid"] is True
    assert detail(bad)[0] == "points"


def test_second_click_on_the_same_photo_looks_no_second_time(api: Api, sam_stand_in: OneColour) -> None:
    photo = two_things() + b"second click"
    api.remove(photo, points="[[50, 50, 1]]")
    looks = sam_stand_in.looks

    again = api.remove(photo, points="[[150, 50, 1]]")

    assert kept(again) == {"red": False, "blue": True}
    assert sam_stand_in.looks == looks


def test_nobody_can_tell_from_the_speed_what_others_have_sent(api: Api, sam_stand_in: OneColour) -> None:
    photo = two_things() + b"somebody's secret"
    api.remove(photo, points="[[50, 50, 1]]")
    looks = sam_stand_in.looks

    make_api("somebody else").remove(photo, points="[[50, 50, 1]]")

    assert sam_stand_in.looks == looks + 1


def test_photo_that_is_not_to_be_kept_is_not_remembered(api: Api, sam_stand_in: OneColour) -> None:
    photo = two_things() + b"not to be kept"
    api.remove(photo, points="[[50, 50, 1]]", retention="0")
    looks = sam_stand_in.looks

    api.remove(photo, points="[[50, 50, 1]]")

    assert sam_stand_in.looks == looks + 1


def test_service_without_sam_says_so_and_charges_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from ml.models import Models
    from ml.sessions.slots import InferenceSlots

    missing = Pointing(Engine(Models(tmp_path, slots=InferenceSlots(1))))
    monkeypatch.setattr(this_worker()._runners["remove-bg"], "_pointing", missing)

    response = api.remove(two_things(), points="[[50, 50, 1]]")

    assert detail(response)[0] == "points"
    assert "without SAM" in detail(response)[1]
    assert Job.objects.get().charged_credits == 0
    assert api.remove(two_things()).status_code == 200
    (warning,) = missing.loaded.warnings
    assert "points or box" in warning
    assert "python -m ml.weights fetch" in warning


def test_worker_takes_jobs_before_it_can_point_and_says_when_it_can(api: Api, stand_ins: StandInModels) -> None:
    engine = Engine(stand_ins)
    runners: dict[str, Runner] = {"remove-bg": BackgroundRunner(engine)}
    worker = Worker(name="late", runners=runners, facts={"name": "late", **facts_of(runners, engine)})
    broker.beat("late", worker._facts)
    before = [each["models"] for each in broker.living_workers() if each["name"] == "late"]

    runners["remove-bg"].load_the_rest()
    worker.tell(facts_of(runners, engine))

    after = [each["models"] for each in broker.living_workers() if each["name"] == "late"]
    broker.forget("late")
    assert before == [["stand-in@1"]]
    assert after == [["one-colour@1", "stand-in@1"]]


def test_document_describes_them_for_forms_and_for_json() -> None:
    from apps.core.openapi.document import openapi_document

    content = openapi_document(all_bodies=True)["paths"]["/v1/remove-bg/universal"]["post"]["requestBody"]["content"]

    form = content["multipart/form-data"]["schema"]["properties"]
    assert form["points"]["type"] == form["box"]["type"] == "string"
    assert json.loads(form["points"]["examples"][0])[0][2] == 1
    document = openapi_document(all_bodies=True)
    body = content["application/json"]["schema"]
    name = body.get("$ref", "").rpartition("/")[2]
    properties = (document["components"]["schemas"][name] if name else body)["properties"]
    assert properties["points"]["type"] == properties["box"]["type"] == "array"
    assert properties["points"]["description"]
