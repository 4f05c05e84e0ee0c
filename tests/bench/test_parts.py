"""Parts of `make bench` that could be wrong without anybody's noticing: what is sent, and what is counted."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser

import pytest

from tests.bench.clients import Call, Client, Load, keyline_call
from tests.bench.errors import BenchError
from tests.bench.measuring import QUICK, Crowd, Measuring, Subject
from tests.bench.processes import MemoryWatch, Processes
from tests.bench.processor import Processor, this_processor
from tests.bench.rembg import Rembg
from tests.bench.report import _against_rembg, _at_most

PNG = b"\x89PNG and so on"


class Server:
    """Keeps every form that it gets, and answers each with `status`."""

    def __init__(self) -> None:
        self.forms: list[tuple[str, Message, dict[str, bytes]]] = []
        self.status = 200
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                whole = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body
                parts = {
                    part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True)
                    for part in BytesParser().parsebytes(whole).get_payload()
                }
                server.forms.append((self.path, self.headers, parts))
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(PNG)))
                self.end_headers()
                self.wfile.write(PNG)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def _measuring(server: Server) -> Measuring:
    rembg = Rembg("rembg", server.url, Call("/api/remove", "file"), Processes({"rembg": 1}))
    done = Measuring(
        Subject("isnet", "int8", "best", 1, Processor.AVX2, b"photo", ""),
        *(None, None, None, QUICK, lambda _: None),
        rembg=rembg,
    )
    done._rivals = [Client(server.url, rembg.call, b"photo") for _ in range(4)]
    return done


def test_form_carries_the_photo_and_further_fields(server: Server) -> None:
    client = Client(server.url, keyline_call("secret", quality="fast", output_format="mask"), b"\xff\xd8photo\r\n")

    load = client.cut_out()

    client.close()
    path, headers, parts = server.forms[0]
    assert (path, headers["X-Api-Key"]) == ("/v1/remove-bg/universal", "secret")
    assert parts == {"image": b"\xff\xd8photo\r\n", "quality": b"fast", "output_format": b"mask"}
    assert (load.count, load.answer_bytes) == (1, len(PNG))


def test_memory_of_children_is_counted() -> None:
    grow = "data = bytearray(60_000_000); import sys; print(flush=True); sys.stdin.read()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grow!r}])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # the memory is there

        with MemoryWatch(Processes({"parent": process.pid})) as watch:
            pass
        process.stdin.close()

    assert 60 < watch.peak_mb < 160


def test_cpu_of_threads_that_give_way_is_told_from_the_rest() -> None:
    work = (
        "import os, sys, threading, time\n"
        "def burn(s):\n    t = time.thread_time()\n    while time.thread_time() - t < s: pass\n"
        "def give_way():\n    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10); burn(.1)\n"
        "    print(flush=True); sys.stdin.read()\n"
        "burn(.2); threading.Thread(target=give_way).start()"
    )
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()

        spent_s = Processes({"worker": process.pid}).giving_way_s("worker")
        process.stdin.close()

    assert 0.08 <= spent_s <= 0.14


def test_what_processes_take_without_requests_is_no_requests() -> None:
    crowd = Crowd(1, load=Load([500.0] * 2), cpu_s={"worker": 3.0, "web": 0.1, "s3": 0.3})
    crowd.beside_networks_s, crowd.watched_s = 0.2, 4.0

    assert crowd.beside_cpu_ms({"s3": 0.05}) == pytest.approx({"web and servers": 100, "worker": 100})


def test_rival_that_breaks_is_left_out_and_said_to_be(server: Server) -> None:
    done, crowd = _measuring(server), Crowd(4)
    done.crowds = [Crowd(1), crowd]
    done._ask_rembg(crowd, 4)
    counted = crowd.rembg.count
    server.status = 500

    done._ask_rembg(crowd, 4)
    done._ask_rembg(crowd, 4)  # nobody is asked any more

    asked = len(server.forms)
    assert counted == 4
    assert asked < 12
    assert [(row.figure, row.is_reached) for row in _against_rembg(done)] == [("it broke", None)]


@pytest.mark.parametrize(("per_s", "is_reached"), [(3.4, True), (3.2, False)])
def test_most_clients_are_compared_with_a_few_of_the_rival(server: Server, per_s: float, is_reached: bool) -> None:
    done = _measuring(server)
    few, many = Crowd(4), Crowd(16)  # at 16 the rival broke
    few.rembg = Load([500.0] * 3, wall_s=2.0)
    many.load = Load([500.0] * 34, wall_s=34 / per_s)
    done.crowds = [Crowd(1), few, many]

    (row,) = _against_rembg(done)

    assert row.figure == f"{per_s:.2f} to 1.50, {per_s / 1.5:.2f} x"
    assert row.is_reached is is_reached


@pytest.mark.parametrize(
    ("figure", "wanted", "is_reached"), [(59.6, 60, True), (60.4, 60, False), (None, 60, None), (1, None, None)]
)
def test_a_target_is_reached_missed_or_unknown(
    figure: float | None, wanted: float | None, is_reached: bool | None
) -> None:
    assert _at_most("overhead", figure, wanted, "{:+.0f} ms").is_reached is is_reached


def test_processors_are_told_by_what_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, kind in (
        ("avx2 avx512_vnni amx_int8", "AMX"),
        ("avx2 avx512_vnni", "AVX-512 VNNI"),
        ("avx", "without AVX2"),
    ):
        monkeypatch.setattr(
            "pathlib.Path.read_text", lambda _, flags=flags: f"model\t: x\nflags\t\t: fpu {flags} sse\n"
        )
        assert this_processor() == kind


def test_other_answers_end_the_measurement(server: Server) -> None:
    server.status = 400
    client = Client(server.url, keyline_call("secret"), b"photo")

    with pytest.raises(BenchError, match="answers 400"):
        client.cut_out()
    client.close()
