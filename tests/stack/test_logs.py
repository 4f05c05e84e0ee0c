"""The logs of the real processes: JSON on every line, and one request's id from the answer through all of them."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.drawing import photo_png
from tests.stack.load import Caller
from tests.stack.service import Stack, wait_until

pytestmark = pytest.mark.stack

OURS = ("supervisor", "prepare", "web", "worker", "io", "sweeper")


def lines_of(stack: Stack, name: str) -> list[dict[str, Any]]:
    """Every line of a log; the one that is just being written waits for its end."""
    *whole, _ = stack.var.log_file(name).read_text().split("\n")
    return [json.loads(line) for line in whole]


def access_lines(stack: Stack, **facts: object) -> list[dict[str, Any]]:
    lines = [line for line in lines_of(stack, "web") if line["logger"] == "keyline.access"]
    return [line for line in lines if all(line[name] == value for name, value in facts.items())]


def test_one_request_id_leads_through_web_worker_and_sweeper(stack: Stack) -> None:
    caller = Caller(stack.url, stack.api_key)
    reply = caller.remove(photo_png(), prefer="respond-async")
    request_id, job_id = reply.headers["x-request-id"], reply.headers["x-job-id"]
    assert wait_until(lambda: caller.ask("GET", f"/v1/jobs/{job_id}").json["data"]["status"] == "succeeded")
    with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as rows:
        rows.execute("UPDATE core_job SET expires_at = now() WHERE id = %s::uuid", [job_id])

    def events(name: str) -> list[str]:
        return [line["event"] for line in lines_of(stack, name) if line.get("request_id") == request_id]

    assert reply.status == 202
    assert wait_until(lambda: events("sweeper") == ["objects deleted"])
    assert (events("web"), events("worker")) == (["request"], ["job ended"])


def test_what_the_front_refuses_or_loses_has_its_line_too(stack: Stack) -> None:
    address = urlsplit(stack.url)
    host, port = address.hostname or "", address.port or 0
    asking = http.client.HTTPConnection(host, port, timeout=60)
    asking.putrequest("POST", "/v1/clothing-segmentation")
    for name, value in (("X-Api-Key", stack.api_key), ("Content-Length", str(10**9)), ("Expect", "100-continue")):
        asking.putheader(name, value)
    asking.endheaders()
    too_large = asking.getresponse().status
    with socket.create_connection((host, port)) as leaving:  # in the middle of its body
        head = f"POST /v1/remove-bg/human HTTP/1.1\r\nHost: x\r\nX-Api-Key: {stack.api_key}\r\n"
        leaving.sendall(
            f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999\r\n\r\n--b".encode()
        )

    assert too_large == 413
    assert access_lines(stack, route="/v1/clothing-segmentation", status=413, code="PAYLOAD_TOO_LARGE")
    assert wait_until(lambda: bool(access_lines(stack, route="/v1/remove-bg/human", status=400)))


def test_every_line_of_every_log_of_ours_is_a_json_object_without_a_key(stack: Stack) -> None:
    lines = {name: lines_of(stack, name) for name in OURS}

    assert [name for name, told in lines.items() if not told and name != "sweeper"] == []
    for name, told in lines.items():
        assert all({"time", "level", "logger", "event"} <= line.keys() for line in told), name
        text = stack.var.log_file(name).read_text()
        assert stack.api_key not in text
        assert "X-Amz-Signature" not in text
