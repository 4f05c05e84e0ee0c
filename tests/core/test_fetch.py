from __future__ import annotations

import gzip
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO

import pytest

from apps.core.errors import AppError, ErrorCode, Fault
from apps.core.intake import outbound
from apps.core.intake.fetch import fetch_image
from apps.core.intake.outbound import OutboundError, Refusal, send
from apps.core.places import Places
from apps.stack.paths import ROOT

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PAYLOAD = bytes(range(256)) * 8


class Site(BaseHTTPRequestHandler):
    """A server that behaves as its path says."""

    protocol_version = "HTTP/1.1"
    seen: dict[str, Any] = {}

    def do_GET(self) -> None:
        Site.seen = {"path": self.path, "headers": dict(self.headers), "address": self.connection.getsockname()[0]}
        self.close_connection = True
        with suppress(OSError):  # the client has gone, as some tests want it to
            getattr(self, "serve_" + self.path.strip("/").split("?")[0])()

    def do_POST(self) -> None:
        self.do_GET()

    def head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def serve_image(self) -> None:
        self.head(Content_Length=len(PAYLOAD))
        self.wfile.write(PAYLOAD)

    def serve_unsized(self) -> None:
        self.head()
        self.wfile.write(PAYLOAD)

    def serve_chunked(self) -> None:
        self.head(Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAYLOAD), PAYLOAD))

    def serve_redirect(self) -> None:
        self.head(302, Location="/image", Content_Length=0)

    def serve_absent(self) -> None:
        self.head(404, Content_Length=0)

    def serve_partial(self) -> None:
        self.head(206, Content_Length=1)
        self.wfile.write(b"x")

    def serve_declared(self) -> None:
        self.head(Content_Length=50_000_000)
        self.connection.recv(1)  # nothing comes until the client hangs up

    def serve_endless(self) -> None:
        self.head()
        while True:
            self.wfile.write(bytes(65_536))

    def serve_gzip(self) -> None:
        body = gzip.compress(bytes(5_000_000))
        self.head(Content_Encoding="gzip", Content_Length=len(body))
        self.wfile.write(body)

    def serve_short(self) -> None:
        self.head(Content_Length=len(PAYLOAD) + 10)
        self.wfile.write(PAYLOAD)

    def serve_silent(self) -> None:
        time.sleep(60)

    def serve_dripping_body(self) -> None:
        self.head(Content_Length=10_000)
        self.drip()

    def serve_dripping_unsized(self) -> None:
        self.head()
        self.drip()

    def serve_dripping_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip()

    def serve_continuing(self) -> None:
        for _ in range(3000):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.02)

    def drip(self) -> None:
        for _ in range(3000):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.02)

    def serve_rubbish(self) -> None:
        self.wfile.write(b"\0\1\2 not http at all\r\n\r\n")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetched(url: str, *, max_bytes: int = 100_000, timeout_s: float = 60) -> BinaryIO:
    return fetch_image(url, max_bytes=max_bytes, timeout_s=timeout_s, allow_cidrs=LOOPBACK)


def refused(url: str, **options: Any) -> AppError:
    with pytest.raises(AppError) as caught:
        fetched(url, **options) if "allow_cidrs" not in options else fetch_image(url, max_bytes=9, **options)
    assert caught.value.code is ErrorCode.VALIDATION_ERROR
    assert caught.value.details[0].field == "image_url"
    return caught.value


def fault_of(url: str, **options: Any) -> Fault:
    return refused(url, **options).details[0].fault


@pytest.mark.parametrize("path", ["/image", "/unsized", "/chunked", "/image?a=b#c"])
def test_a_public_image_is_fetched(site: str, path: str) -> None:
    with fetched(site + path) as file:
        assert file.tell() == 0
        assert file.read() == PAYLOAD

    assert Site.seen["headers"]["Accept-Encoding"] == "identity"
    assert Site.seen["headers"]["User-Agent"].startswith("Keyline")
    assert "Cookie" not in Site.seen["headers"]


def test_exactly_the_limit_is_taken_and_one_byte_more_is_not(site: str) -> None:
    assert fetched(site + "/unsized", max_bytes=len(PAYLOAD)).read() == PAYLOAD
    assert fault_of(site + "/unsized", max_bytes=len(PAYLOAD) - 1) is Fault.FILE_TOO_LARGE
    assert fault_of(site + "/chunked", max_bytes=len(PAYLOAD) - 1) is Fault.FILE_TOO_LARGE


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "//example.com/a.png",
        "example.com/a.png",
        "",
        "http://",
        "http:///a.png",
        "http://[::1/a",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/",
        "http://exa mple.com/",
        "http://example.com/\r\nX-Injected: 1",
        "http://" + "a" * 70 + ".com/",
        "http://" + "a" * 5000,
        "http://user:password@example.com/",
        "http://user@example.com/",
        "http://１２７.0.0.1/",  # full-width digits
        "http://①27.0.0.1/",
    ],
)
def test_what_is_not_a_plain_http_url_is_refused(url: str) -> None:
    assert fault_of(url, allow_cidrs=()) is Fault.BAD_URL


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.9.9.9",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[ff02::1]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_spelling_of_a_private_address_is_refused(scheme: str, host: str) -> None:
    error = refused(f"{scheme}://{host}:9/a.png", allow_cidrs=(), timeout_s=2)

    assert error.details[0].fault is Fault.REFUSED_URL
    assert error.message.startswith("The address is not a public one.")


def names(monkeypatch: pytest.MonkeyPatch, table: dict[str, list[str]]) -> list[str]:
    """Answer look-ups of these names in turn; returns the list of all hosts that get looked up."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def answer(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        if host in table:
            answers = table[host]
            host = answers.pop(0) if len(answers) > 1 else answers[0]
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def test_a_name_that_resolves_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {"innocent.example": ["10.1.2.3"]})

    error = refused("http://innocent.example/a.png", allow_cidrs=())

    assert error.details[0].fault is Fault.REFUSED_URL
    assert "10.1.2.3" not in error.message


def test_the_address_that_was_checked_is_the_one_connected_to(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = site.rsplit(":", 1)[1]
    asked = names(monkeypatch, {"rebind.example": ["127.0.0.1", "127.0.0.2"]})
    only = (ipaddress.ip_network("127.0.0.1/32"),)

    file = fetch_image(f"http://rebind.example:{port}/image", max_bytes=10_000, allow_cidrs=only)

    assert file.read() == PAYLOAD
    assert asked.count("rebind.example") == 1
    assert Site.seen["address"] == "127.0.0.1"
    assert Site.seen["headers"]["Host"] == f"rebind.example:{port}"


def test_an_allowed_network_opens_nothing_else(site: str) -> None:
    only = (ipaddress.ip_network("127.0.0.2/32"),)

    assert fault_of(site + "/image", allow_cidrs=only) is Fault.REFUSED_URL


def test_no_proxy_of_the_environment_is_used(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert fetched(site + "/image").read() == PAYLOAD


def test_a_redirect_is_not_followed_and_said_so(site: str) -> None:
    error = refused(site + "/redirect")

    assert error.details[0].fault is Fault.REFUSED_URL
    assert "redirect" in error.message
    assert Site.seen["path"] == "/redirect"


@pytest.mark.parametrize("path", ["/absent", "/partial", "/short", "/rubbish", "/gzip"])
def test_any_answer_but_a_whole_200_is_a_failed_download(site: str, path: str) -> None:
    assert fault_of(site + path) is Fault.DOWNLOAD_FAILED


def test_the_status_is_told(site: str) -> None:
    assert refused(site + "/absent").message.startswith("The address answers with status 404 instead of 200.")


def test_a_declared_size_is_refused_before_the_body(site: str) -> None:
    error = refused(site + "/declared", timeout_s=20)

    assert error.details[0].fault is Fault.FILE_TOO_LARGE
    assert error.message == "The image is 47.7 MB; the limit is 0.1 MB. Send a smaller file."


def test_a_server_that_never_stops_is_stopped_at_the_limit(site: str) -> None:
    assert fault_of(site + "/endless") is Fault.FILE_TOO_LARGE


@pytest.mark.parametrize("path", ["/silent", "/dripping_body", "/dripping_unsized", "/dripping_head", "/continuing"])
def test_a_slow_server_is_left_when_time_is_up(site: str, path: str) -> None:
    start = time.monotonic()

    error = refused(site + path, timeout_s=0.3)

    assert error.details[0].fault is Fault.DOWNLOAD_FAILED
    assert error.message == "The address did not answer in time. Try again, or send the picture itself."
    assert time.monotonic() - start < 20  # the server would go on for a minute


def test_a_look_up_that_hangs_is_left_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: is_over.wait(5) and [])

    error = refused("http://slow-name.example/", timeout_s=0.2)
    is_over.set()

    assert error.message == "The address did not answer in time. Try again, or send the picture itself."


def test_slow_names_of_one_caller_hold_up_nobody_else(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tenants with more slow names than there were threads, until their name server gives up."""
    gives_up, port = threading.Event(), site.rsplit(":", 1)[1]
    real = socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host.startswith("slow"):
            gives_up.wait(30)
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real("127.0.0.1" if host.endswith(".example") else host, *args, **kwargs)

    def of(caller: str, host: str, timeout_s: float = 0.3) -> Any:
        url = f"http://{host}.example:{port}/image"
        return fetch_image(url, max_bytes=10_000, timeout_s=timeout_s, allow_cidrs=LOOPBACK, caller=caller)

    def ends(caller: str, host: str) -> str:
        with pytest.raises(AppError) as caught:
            of(caller, host)
        return caught.value.code.name

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(outbound, "_PATIENCE_S", 0.0)
    with ThreadPoolExecutor(80) as pool:
        told = list(pool.map(lambda n: ends(f"tenant {n % 2}", f"slow{n}"), range(80)))
    asked_again = ends("tenant 1", "quick")
    with of("another", "quick", 5) as file:
        assert file.read() == PAYLOAD

    assert Counter(told) == {
        "VALIDATION_ERROR": 2 * outbound.PLACES_OF_ONE,
        "RATE_LIMITED": 80 - 2 * outbound.PLACES_OF_ONE,
    }
    assert asked_again == "RATE_LIMITED"  # its threads are not free yet
    gives_up.set()
    monkeypatch.setattr(outbound, "_PATIENCE_S", 10.0)
    assert of("tenant 1", "quick", 5).read() == PAYLOAD


def test_resolver_of_the_web_process_gives_up_soon() -> None:
    """Nothing can interrupt a look-up but the resolver's own patience: 20 s with two name servers, unless it is told."""
    code = "import os, config.wsgi; print(os.environ['RES_OPTIONS'])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["timeout:1", "attempts:2"]


def test_place_is_free_again_however_a_fetch_ends(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "_places", Places(1))
    for path in ("/image", "/absent", "/short", "/rubbish", "/redirect", "/silent"):
        with suppress(AppError):
            fetch_image(site + path, max_bytes=10_000, timeout_s=0.3, allow_cidrs=LOOPBACK, caller="one")
    with suppress(AppError):
        fetch_image("http://10.0.0.1/", max_bytes=9, caller="one")
    monkeypatch.setattr(outbound, "_PATIENCE_S", 5.0)

    assert fetch_image(site + "/image", max_bytes=10_000, allow_cidrs=LOOPBACK, caller="two").read() == PAYLOAD


def test_nobody_there_and_no_tls(site: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        assert fault_of(f"http://127.0.0.1:{port}/") is Fault.DOWNLOAD_FAILED
    assert fault_of(site.replace("http:", "https:") + "/image") is Fault.DOWNLOAD_FAILED


def test_an_unknown_name_is_a_failed_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)

    assert fault_of("http://nowhere.example/") is Fault.DOWNLOAD_FAILED


def test_errors_tell_nothing_of_the_inside(site: str) -> None:
    port = site.rsplit(":", 1)[1]
    for path in ("/rubbish", "/short", "/silent"):
        message = refused(site + path, timeout_s=0.2).message
        assert "127.0.0.1" not in message
        assert port not in message
        assert "Error" not in message


def test_a_body_can_be_posted_within_the_same_bounds(site: str) -> None:
    with send(
        "POST", site + "/image", timeout_s=2, allow_cidrs=LOOPBACK, body=b"hello", headers={"X-A": "b"}
    ) as answer:
        assert answer.status_code == 200

    assert Site.seen["headers"]["Content-Length"] == "5"
    assert Site.seen["headers"]["X-A"] == "b"
    with pytest.raises(OutboundError) as caught, send("POST", site + "/image", timeout_s=2):
        pass
    assert caught.value.refusal is Refusal.PRIVATE


def test_no_thread_stays_behind(site: str) -> None:
    fetched(site + "/image").close()

    assert not [thread for thread in threading.enumerate() if thread.name == "outbound-deadline"]
