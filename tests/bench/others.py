"""What else a client asks for, one after the other, beside the cut-out of one megapixel."""

from __future__ import annotations

import io
import json
import math
import statistics
import time
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tests.bench.errors import BenchError

_TIMEOUT_S = 180
_LARGE_PIXELS = 12_000_000


@dataclass(frozen=True)
class Other:
    """
    Attributes:
        what: for people.
        ms: median of some requests.
    """

    what: str
    ms: float


LARGE, SMALL = "cut-out as PNG, 12 MP", "cut-out as PNG, 1 MP"
GARMENTS, MARKS, SECOND_CLICK = "garments, 1 MP", "watermark, 1 MP", "second click on a photo, 1 MP"


def measure(url: str, api_key: str, photo: bytes, *, rounds: int) -> list[Other]:
    """Ask for each of them `rounds` times. Raises BenchError."""
    middle = "[[500, 375, 1]]"
    asked: tuple[tuple[str, str, bytes, dict[str, str]], ...] = (
        (SMALL, "/v1/remove-bg/universal", photo, {"answer": "image"}),
        (LARGE, "/v1/remove-bg/universal", _enlarged(photo), {"answer": "image"}),
        (GARMENTS, "/v1/clothing-segmentation", photo, {}),
        (MARKS, "/v1/watermark-removal", photo, {}),
        (SECOND_CLICK, "/v1/remove-bg/universal", photo, {"points": middle, "answer": "image"}),
    )
    others = []
    for what, path, picture, fields in asked:
        took = []
        for _ in range(rounds + 1):  # the first opens and fills what the others find
            began = time.perf_counter()
            post(url + path, api_key, picture, fields)
            took.append((time.perf_counter() - began) * 1000)
        others.append(Other(what, statistics.median(took[1:])))
    return others


def precision_of(url: str, api_key: str, photo: bytes) -> str:
    """In which numbers the service runs its networks, as its answers say. Raises BenchError."""
    answer: dict[str, Any] = json.loads(post(url + "/v1/remove-bg/universal", api_key, photo, {"answer": "json"}))
    precision: str = answer["meta"]["precision"]
    return precision


def post(url: str, api_key: str, photo: bytes, fields: dict[str, str]) -> bytes:
    """Send a form. Raises BenchError for any answer but 200."""
    boundary = uuid.uuid4().hex
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    head = "".join(f'{part}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    head += f'{part}image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    headers = {"X-Api-Key": api_key, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(url, head.encode() + photo + f"\r\n--{boundary}--\r\n".encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            content: bytes = answer.read()
            return content
    except OSError as error:
        raise BenchError(f"{url} fails: {error}.") from error


def _enlarged(photo: bytes) -> bytes:
    image = Image.open(io.BytesIO(photo))
    scale = math.sqrt(_LARGE_PIXELS / (image.width * image.height))
    large = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    large.save(out, "JPEG", quality=90)
    return out.getvalue()
