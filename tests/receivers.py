"""Servers of customers: they keep what they are sent, and answer as they are told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier


@dataclass
class Sent:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    told: Any = None

    def json(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """What the reference library reads in it. Raises WebhookVerificationError."""
        return Verifier(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """
    Attributes:
        url: where it listens, without a path.
        answers: statuses by path, or functions that answer by themselves; any other path gets a 204.
        sent: what came, in the order of its coming.
        secret: verifies it at its coming, which the library does for five minutes only.
    """

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    secret: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def to(self, path: str) -> list[Sent]:
        return [each for each in self.sent if each.path == path]


def _hang(handler: BaseHTTPRequestHandler, receiver: Receiver) -> None:
    receiver.closing.wait(60)


def _redirect(handler: BaseHTTPRequestHandler, receiver: Receiver) -> None:
    handler.send_response(301)
    handler.send_header("Location", f"{receiver.url}/moved")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _flood(handler: BaseHTTPRequestHandler, receiver: Receiver) -> None:
    """200 MB of answer, without its length."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(3200):
        handler.wfile.write(b"x" * 65536)


HANG, REDIRECT, FLOOD = _hang, _redirect, _flood


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = Sent(self.command, self.path, headers, body, time.monotonic())
            sent.told = sent.verified(receiver.secret) if receiver.secret else None
            receiver.sent.append(sent)
            answer = receiver.answers.get(self.path, 204)
            if callable(answer):
                with contextlib.suppress(OSError):
                    answer(self, receiver)
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_GET = do_POST  # noqa: N815 - the library calls them so

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextlib.contextmanager
def receiving(context: Any = None) -> Iterator[Receiver]:
    """
    A receiver while inside.

    Args:
        context: an SSLContext, for one that speaks TLS.
    """
    receiver = Receiver()
    server = _Server(("127.0.0.1", 0), _handler(receiver))
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
