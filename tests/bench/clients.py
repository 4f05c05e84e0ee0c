"""Clients that keep their connection and send one photo after the other."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.bench.errors import BenchError
from tests.bench.timed import Timed

PATH = "/v1/remove-bg/universal"
_TIMEOUT_S = 180
_MOST_REFUSALS = 50
_FRESH_S = 5.0  # servers close connections that are idle for longer than some seconds


@dataclass
class Load(Timed):
    """What some requests took; `+=` adds more of the same kind."""

    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    refusals: int = 0
    answer_bytes: int = 0

    def __iadd__(self, more: Load) -> Load:
        self.add_times(more)
        for name, values in more.stages_ms.items():
            self.stages_ms.setdefault(name, []).extend(values)
        self.refusals += more.refusals
        self.answer_bytes = max(self.answer_bytes, more.answer_bytes)
        return self


@dataclass(frozen=True)
class Call:
    """How a server is asked for a cut-out: the path, the photo's field, headers and further fields of the form."""

    path: str
    photo_field: str
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


def keyline_call(api_key: str, **fields: str) -> Call:
    """Keyline's own form; `fields` are its parameters, such as quality="fast"."""
    return Call(PATH, "image", {"X-Api-Key": api_key}, fields)


class Client:
    """One connection that posts the same photo as multipart and takes the PNG itself."""

    def __init__(self, url: str, call: Call, photo: bytes) -> None:
        address, boundary = urlsplit(url), uuid.uuid4().hex
        secure = address.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = make(address.hostname or "", address.port, timeout=_TIMEOUT_S)
        self._used_at = 0.0
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="'
        fields = "".join(f'{part}{name}"\r\n\r\n{value}\r\n' for name, value in call.fields.items())
        head = f'{fields}{part}{call.photo_field}"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        self._body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
        self._path = call.path
        self._headers = {**call.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}

    def cut_out(self) -> Load:
        """
        Send the photo; a refusal (429, 503) is repeated when the service says so, and the last try is timed.

        Raises:
            BenchError: any other answer, or none.
        """
        for refusals in range(_MOST_REFUSALS):
            began = time.perf_counter()
            try:
                if time.monotonic() - self._used_at > _FRESH_S:
                    self._connection.close()
                    self._connection.connect()
                self._connection.request("POST", self._path, self._body, self._headers)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise BenchError(f"The service broke the connection: {error!r}.") from error
            took_ms = (time.perf_counter() - began) * 1000
            self._used_at = time.monotonic()
            if answer.status == 200 and content.startswith(b"\x89PNG"):
                stages = {name: [value] for name, value in _durations(answer.headers.get("Server-Timing", ""))}
                return Load([took_ms], took_ms / 1000, stages, refusals, len(content))
            if answer.status not in {429, 503}:
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        raise BenchError(f"The service answers {answer.status}: {content[:500]!r}")

    def close(self) -> None:
        self._connection.close()


def send(clients: list[Client], count: int) -> Load:
    """Send `count` photos from all clients at once. Raises BenchError."""
    tickets, total = itertools.count(), Load()
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work(client: Client) -> None:
        nonlocal total
        while next(tickets) < count and not errors:
            try:
                one = client.cut_out()
            except BenchError as error:
                errors.append(error)
                return
            with lock:
                total += one

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    total.wall_s = time.perf_counter() - began
    return total


def _durations(header: str) -> Iterator[tuple[str, float]]:
    """(stage, ms) of a Server-Timing header."""
    for part in header.split(","):
        name, _, value = part.strip().partition(";dur=")
        if value:
            yield name, float(value)
