"""One class is an answer's JSON and its schema: what the document makes of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import pytest
from msgspec import UNSET, UnsetType, ValidationError

from apps.core.answers import Box, Count, Envelope, Image, Part, Result, Url, about, as_json
from apps.core.openapi import schemas
from apps.core.openapi.schemas import named, properties_of, schema_of


class Weather(StrEnum):
    """What is outside."""

    SUN = "sun"
    RAIN = "rain"


class _Wind(Part):
    from_where: str


class SkyTold(Part):
    """What a watcher of the sky tells."""

    weather: Weather
    by_night: Annotated[Weather, about("After sunset.")]
    wind: _Wind | None
    rain_mm: Annotated[Count | None, about("Of an hour.", examples=[3])]
    picture: Url
    part: Box | UnsetType = UNSET


class SkyData(Part):
    sky: SkyTold


@pytest.fixture(autouse=True)
def components(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Named schemas of this test alone."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(schemas, "COMPONENTS", found)
    return found


def test_fields_are_members_in_camel_case_and_absent_ones_are_absent() -> None:
    sky = SkyTold(weather=Weather.SUN, by_night=Weather.RAIN, wind=_Wind(from_where="N"), rain_mm=None, picture="u")

    assert as_json(sky) == {
        "weather": "sun",
        "byNight": "rain",
        "wind": {"fromWhere": "N"},
        "rainMm": None,
        "picture": "u",
    }


def test_a_schema_is_named_after_its_class_and_says_what_the_class_says(components: dict[str, Any]) -> None:
    assert schema_of(SkyTold) == {"$ref": "#/components/schemas/SkyTold"}
    sky = components["SkyTold"]
    assert sky["description"] == "What a watcher of the sky tells."
    assert sky["required"] == ["weather", "byNight", "wind", "rainMm", "picture"]
    assert list(sky["properties"]) == [*sky["required"], "part"]
    assert sky["properties"]["picture"] == {"type": "string", "format": "uri"}


def test_null_is_a_second_type_and_no_choice(components: dict[str, Any]) -> None:
    rain = properties_of(SkyTold)["rainMm"]

    assert rain == {"type": ["integer", "null"], "minimum": 0, "description": "Of an hour.", "examples": [3]}
    assert not components.keys() & {"SkyTold", "Count"}


def test_an_enum_keeps_its_order_and_with_words_of_its_own_stands_where_it_is(components: dict[str, Any]) -> None:
    told = properties_of(SkyTold)

    assert told["weather"] == {"$ref": "#/components/schemas/Weather"}
    assert components["Weather"]["enum"] == ["sun", "rain"]
    assert told["byNight"] == {"type": "string", "enum": ["sun", "rain"], "description": "After sunset."}


def test_a_class_with_an_underscore_has_no_name(components: dict[str, Any]) -> None:
    wind = properties_of(SkyTold)["wind"]

    assert wind == {
        "type": ["object", "null"],
        "properties": {"fromWhere": {"type": "string"}},
        "required": ["fromWhere"],
    }
    assert "_Wind" not in components


def test_an_envelope_is_named_after_what_is_in_it(components: dict[str, Any]) -> None:
    assert schema_of(Envelope[SkyTold]) == {"$ref": "#/components/schemas/SkyToldEnvelope"}
    assert schema_of(Envelope[SkyData]) == {"$ref": "#/components/schemas/SkyEnvelope"}
    assert components["SkyEnvelope"]["properties"]["data"] == {"$ref": "#/components/schemas/SkyData"}
    assert components["SkyEnvelope"]["additionalProperties"] is False


def test_two_schemas_of_one_name_are_a_mistake() -> None:
    named("Sky", {"type": "object"})

    with pytest.raises(ValueError, match="Sky"):
        named("Sky", {"type": "string"})


def test_a_result_takes_its_fields_from_images_and_facts_and_no_others() -> None:
    class Found(Result):
        mask: Image
        score: float

    image, mask = (
        Image.example("image", width=2, height=1, size_bytes=9),
        Image.example("mask", width=2, height=1, size_bytes=9),
    )

    found = Found.of({"image": image, "mask": mask, "other": mask}, {"score": 0.5, "more": 1})

    assert found == Found(image=image, mask=mask, score=0.5)
    with pytest.raises(ValidationError, match="score"):
        Found.of({"image": image, "mask": mask}, {})
