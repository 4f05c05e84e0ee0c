"""The first picture: the bundled photo goes through the HTTP API as any client's would."""

from __future__ import annotations

import json
import secrets
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from apps.stack.errors import StackError
from apps.stack.local_http import LOCAL
from apps.stack.paths import ROOT, VarDir
from apps.stack.report import say

PHOTO = ROOT / "docs" / "demo.jpg"
PATH = "/v1/remove-bg/universal"


def cut_out(env: Mapping[str, str], var: VarDir) -> None:
    """Send the photo, fetch the picture by its presigned URL, and show how to do it by hand."""
    if not PHOTO.is_file():
        say(f"There is no {PHOTO}, so no first picture.")
        return
    began = time.monotonic()
    answer = _post_photo(f"http://127.0.0.1:{env['KEYLINE_PORT']}{PATH}", env["KEYLINE_API_KEY"])
    url = answer["data"]["image"]["url"]
    took_s = time.monotonic() - began
    picture = var.root / "demo" / "cutout.png"
    picture.parent.mkdir(exist_ok=True)
    with LOCAL.open(url, timeout=30) as response:
        picture.write_bytes(response.read())
    say(f"\nCut out {PHOTO.relative_to(ROOT)} in {took_s:.1f} s: {picture}")
    say(f"Its presigned URL (24 h): {url}")
    say("\nBy hand: the picture itself, an envelope with URLs, a job to ask for later:")
    for line in curl_lines(env, var):
        say(f"  {line}")


def curl_lines(env: Mapping[str, str], var: VarDir) -> list[str]:
    """Three commands that work as they are, from any folder; the key is read, not shown."""
    key = f'-H "X-Api-Key: $(. {shlex.quote(str(var.env_file))}; echo $KEYLINE_API_KEY)"'
    photo = f"-F image=@{shlex.quote(str(PHOTO))}"
    url = shlex.quote(env["KEYLINE_URL"].rstrip("/") + PATH)
    return [
        f"curl -sS {key} {photo} {url} -o cutout.png",
        f"curl -sS {key} -H 'Accept: application/json' {photo} {url}",
        f"curl -sS {key} -H 'Prefer: respond-async' {photo} {url}",
    ]


def _post_photo(url: str, api_key: str) -> dict[str, Any]:
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{PHOTO.name}"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + PHOTO.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "X-Api-Key": api_key,
        "Accept": "application/json",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310
    try:
        with LOCAL.open(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise StackError(f"The first picture failed: HTTP {error.code}: {error.read()[:600]!r}") from error
    except OSError as error:
        raise StackError(f"The first picture failed: {error}.") from error
    if not (answer.get("data") or {}).get("image"):
        raise StackError(f"The first picture did not come in time: {json.dumps(answer)[:600]}")
    return answer
