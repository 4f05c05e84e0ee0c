"""A client of watermark tasks as a customer writes it: from section 2.3 of the contract, with the standard library alone."""

from __future__ import annotations

import base64
import io
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml.weights import made_here
from tests.stack.service import PATIENCE_S, Stack

pytestmark = pytest.mark.stack

PHOTO = Path(__file__).parents[1] / "golden" / "photos" / "canyon-wren.jpg"
LONGEST_S = PATIENCE_S


class Client:
    """`submit`, then `wait`, then `download`."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def submit(self, image: bytes) -> str:
        return str(
            self._post("submit_watermark_removal", {"image_base64": base64.b64encode(image).decode()})["task_id"]
        )

    def wait(self, task_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            result = self._post("get_task_result", {"task_id": task_id})
            if result["status"] != "processing":
                return result
            time.sleep(0.5)
        raise TimeoutError(task_id)

    @staticmethod
    def download(result: dict[str, Any]) -> bytes:
        with urllib.request.urlopen(result["images"][0]["url"], timeout=LONGEST_S) as answer:
            return bytes(answer.read())

    def _post(self, name: str, body: dict[str, str]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/api/ext/v1/{name}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=LONGEST_S) as answer:
            told = json.load(answer)
        assert (told["code"], told["message"]) == (0, "success")
        return dict(told["data"])


def marked_photo() -> bytes:
    """A PNG of the golden photo with words over it, half transparent."""
    photo = Image.open(PHOTO).convert("RGBA")
    layer = Image.new("RGBA", photo.size)
    ImageDraw.Draw(layer).text(
        (photo.width // 6, photo.height // 2), "SAMPLE PHOTO", (255, 255, 255, 150), font_size=90
    )
    out = io.BytesIO()
    Image.alpha_composite(photo, layer).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_submit_poll_and_download(stack: Stack) -> None:
    if not (made_here.FOLDER / made_here.WATERMARK.name).is_file():
        pytest.skip("ml/weights has no network for watermarks")
    client, marked = Client(stack.url, stack.api_key), marked_photo()

    result = client.wait(client.submit(marked))

    assert (result["status"], result["err_msg"]) == ("success", "")
    before, after = (np.asarray(Image.open(io.BytesIO(data))).astype(int) for data in (marked, client.download(result)))
    clean = np.asarray(Image.open(PHOTO).convert("RGB")).astype(int)
    has_mark = (before != clean).any(axis=2)
    assert after.shape == clean.shape
    assert np.abs(after - clean)[has_mark].mean() < np.abs(before - clean)[has_mark].mean()
