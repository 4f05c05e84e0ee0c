"""A parameter that asks for what the others rule out is told, in the same way as an unknown one; nothing is refused."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.contract.scenes import opened

JSON = "application/json"
IDLE = "PARAMETER_IGNORED"


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"output_format": "white_bg", "bg_color": "#ff0000"}, ["white_bg"]),
        ({"crop_margin": "5px"}, ["crop_margin"]),
        ({"output_format": "mask", "crop_margin": "5%"}, ["crop_margin"]),
        ({"mask_mode": "matte"}, ["mask_mode"]),
        ({"output_format": "crop", "mask_mode": "matte"}, ["mask_mode"]),
        ({"mask_mode": "matte", "crop_margin": "1px"}, ["crop_margin", "mask_mode"]),
        ({"quality": "fast", "points": "[[10, 10, 1]]"}, ["quality"]),
        ({"quality": "fast", "box": "[0, 0, 20, 20]"}, ["quality"]),
        # what has its effect, or asks for what is so anyway
        ({"output_format": "white_bg", "bg_color": "fff"}, []),
        ({"bg_color": "#ff0000"}, []),
        ({"output_format": "crop", "crop_margin": "5px"}, []),
        ({"crop_margin": "0"}, []),
        ({"output_format": "mask", "mask_mode": "matte"}, []),
        ({"mask_mode": "binary"}, []),
        ({"quality": "fast"}, []),
        ({"quality": "best", "box": "[0, 0, 20, 20]"}, []),
    ],
)
def test_what_has_no_effect_is_told(api: Api, fields: dict[str, str], names: list[str]) -> None:
    answer = api.remove(accept=JSON, **fields)

    assert answer.status_code == 200, answer.content
    told = [each["message"] for each in answer.json()["warnings"] if each["code"] == IDLE]
    assert len(told) == len(names)
    assert all(name in sentence for name, sentence in zip(names, told, strict=True)), told


def test_colour_wins_over_white(api: Api) -> None:
    answer = api.remove(output_format="white_bg", bg_color="#ff0000", format="png")

    assert opened(answer).getpixel((0, 0)) == (255, 0, 0)
    assert IDLE in answer.headers["X-Warnings"].split(",")


def test_binary_answer_has_the_code_once_and_beside_others(api: Api) -> None:
    answer = api.remove(mask_mode="matte", crop_margin="1px", colour="red")

    assert answer.headers["X-Warnings"].split(",") == ["UNKNOWN_FIELD", IDLE]


def test_dry_run_and_deferred_answers_tell_it_too(api: Api) -> None:
    fields = {"mask_mode": "matte"}

    quote = api.send(fields={**fields, "dry_run": "true"})
    deferred = api.send(fields=fields, Prefer="respond-async")

    for answer in (quote, deferred):
        assert [each["code"] for each in answer.json()["warnings"]] == [IDLE]


@pytest.mark.parametrize("to", ["human", "product"])
def test_what_the_path_says_is_no_parameter(api: Api, to: str) -> None:
    answer = api.remove(to=to, accept=JSON, points="[[10, 10, 1]]")

    assert IDLE not in [each["code"] for each in answer.json()["warnings"]]
