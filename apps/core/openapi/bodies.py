"""The request bodies of operations: the images' fields by their limits, the parameters by their serializer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core.dialects.base import Dialect
from apps.core.openapi.schemas import JSON_BODY, OTHER_BODIES, named
from apps.core.operations import ImageInput, Operation
from apps.core.pictures.inspection import MAX_UNPACKED_BYTES

_DEEPEST_BYTES = 8  # of a pixel: four channels of 16 bits
_DEEP = f" (a PNG of 16 bits a channel: {MAX_UNPACKED_BYTES // 1_048_576} MB of pixels)"

# A 64 x 64 PNG, a red square on grey, large enough for every operation: what the document shows, and what its tests send.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAWUlEQVR42u3PQQ0AIAwAsSnhjX8VKEHHRJCRLenlDDTu8AIAAAAAAAAA4CPg"
    "rF06AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAnQLcAAAAAAJ5K794b/9AxfCcAAAAASUVORK5CYII="
)
_IN_JSON_BODY = "x-in-json-body"


def raw_body(operation: Operation) -> dict[str, Any]:
    """The image and nothing else."""
    most = operation.image_limits
    about = (
        f"The image itself; at most {most.max_bytes // 1_048_576} MB and {most.max_width_px} x {most.max_height_px} px."
    )
    media = [f"image/{name.value.lower()}" for name in sorted(most.formats)]
    schema = {"type": "string", "format": "binary"}
    content = {name: {"schema": {**schema, "contentMediaType": name}} for name in media}
    return {"required": True, "description": about, "content": content}


def body(operation: Operation, dialect: Dialect, params: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """
    The same fields as multipart/form-data and as JSON; files only in the former.

    Generated clients take one body type an address: of two, those of openapi-generator send JSON, without the file. So
    addresses that take a file show the form alone, and the other bodies stand in an extension; see `with_all_bodies`.

    Args:
        params: the schemas of the parameters.
        name: of the operation, in a document.
    """
    form = {"multipart/form-data": {"schema": _fields(operation, params, files=True)}}
    text: dict[str, Any] = {"schema": _fields(operation, params, files=False)}
    if operation.image_fields.base64:
        text["example"] = {operation.image_fields.base64: EXAMPLE_IMAGE}
    if not operation.image_fields.takes_file:
        return {"required": True, "content": {"application/json": text}}
    if not operation.image_fields.names[1:]:  # the image is a file, so there is no text that could carry it
        form["multipart/form-data"]["schema"]["required"] = [operation.image_fields.file]
        return {"required": True, "content": form}
    text["schema"] = named(f"{''.join(word.title() for word in name.split('_'))}Json", text["schema"])
    others = ["application/json", *(["application/x-www-form-urlencoded"] if dialect.takes_urlencoded else [])]
    about = (
        f"One of the image fields. The same fields but the file are taken as {' and '.join(others)} too: see x-json-body, "
        "or GET /openapi.json?bodies=all, where all of them stand in content."
    )
    return {"required": True, "description": about, "content": form, JSON_BODY: text, OTHER_BODIES: others}


def show_all(told: dict[str, Any]) -> None:
    """Move the bodies of the extension to the others."""
    if JSON_BODY in told:
        text = told.pop(JSON_BODY)
        told["content"] |= dict.fromkeys(told.pop(OTHER_BODIES), text)


def _fields(operation: Operation, params: Mapping[str, Any], *, files: bool) -> dict[str, Any]:
    sources = [_sources(image, files=files) for image in operation.images]
    properties = {name: schema for source in sources for name, schema in source.items()}
    properties |= {name: _in_body(schema, is_json=not files) for name, schema in params.items()}
    return {"type": "object", "properties": properties}


def _in_body(schema: dict[str, Any], *, is_json: bool) -> dict[str, Any]:
    """A field as a body holds it: what is JSON text in a form may be the value itself in a JSON body."""
    plain = {name: value for name, value in schema.items() if name != _IN_JSON_BODY}
    if is_json and _IN_JSON_BODY in schema:
        return {"description": plain.get("description", ""), **schema[_IN_JSON_BODY]}
    return plain


def _sources(image: ImageInput, *, files: bool) -> dict[str, Any]:
    """The fields that carry an image, without the file where the body is text; one of them is to be sent."""
    limits, fields = image.limits, image.fields
    formats = ", ".join(sorted(item.value for item in limits.formats)).upper()
    about = (
        f"{formats}; at most {limits.max_bytes // 1_048_576} MB, {limits.max_width_px} x {limits.max_height_px} px "
        f"and {limits.max_pixels // 1_000_000} MP"
        + (_DEEP if limits.max_pixels * _DEEPEST_BYTES > MAX_UNPACKED_BYTES else "")
        + (f"; at least {limits.min_width_px} x {limits.min_height_px} px." if limits.min_width_px > 1 else ".")
    )
    told: dict[str, Any] = {}
    if files and fields.takes_file:
        told[fields.file] = {"type": "string", "format": "binary", "contentMediaType": "image/*", "description": about}
    if fields.url:
        told[fields.url] = {"type": "string", "format": "uri", "description": f"http or https, no redirects. {about}"}
    if fields.base64:
        about_text = "With or without data: prefix."
        told[fields.base64] = {"type": "string", "contentEncoding": "base64", "description": about_text}
    return told
