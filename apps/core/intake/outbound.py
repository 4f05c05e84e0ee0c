"""
Requests to addresses that a client chose: public hosts only, no redirects, and an end to every wait.

The address that was checked is the one that is connected to, whatever the name resolves to a moment later.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import threading
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from apps.core.places import Places

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup: TypeAlias = "Future[Any]"

CONNECT_TIMEOUT_S = 3.0
MAX_URL_CHARS = 4096
_USER_AGENT = "Keyline/1.0"
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # deprecated, still routed in some houses, "global" to Python 3.11
PLACES_OF_ONE = 16
"""Requests of one caller at once, until the end of their look-ups too."""
_PATIENCE_S = 2.0  # for a place: quick servers free theirs in less
# Nothing can interrupt a look-up: a late one ends in here, unheard, and keeps its caller's place until then. The resolver's
# own patience is short (config/wsgi.py), and eight callers with all their places slow leave threads for the ninth.
_LOOKUPS = ThreadPoolExecutor(max_workers=9 * PLACES_OF_ONE, thread_name_prefix="lookup")
_places = Places(10_000, of_one=PLACES_OF_ONE)


class Refusal(Enum):
    """Why there is no answer; the value completes a sentence that begins "The address"."""

    BAD_URL = "is not a valid http or https URL"
    CREDENTIALS = "holds a user name or a password"
    PRIVATE = "is not a public one"
    PLAIN = "is not an https one"
    TOO_SLOW = "did not answer in time"
    CERTIFICATE = "has no valid TLS certificate"
    FAILED = "could not be reached, or broke off"
    CROWDED = f"was not asked: {PLACES_OF_ONE} other addresses of this account are still being fetched"


class OutboundError(Exception):
    """There is no whole answer. Tells nothing of what was found on the way: no IP address, no inner text."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.value)


@contextmanager
def send(
    method: str,
    url: str,
    *,
    timeout_s: float,
    allow_cidrs: Sequence[Network] = (),
    headers: Mapping[str, str] | None = None,
    body: bytes | BinaryIO | None = None,
    caller: Hashable = None,
    https_only: bool = False,
) -> Iterator[requests.Response]:
    """
    Make a request and hand over the answer, whatever its status (redirects too), with its body unread.

    Args:
        url: http or https, any port, no credentials.
        timeout_s: for everything together: look-up, connecting (3 s at most), headers, and reading the body inside
            the `with`.
        allow_cidrs: networks that may be reached although they are not public.
        headers: further ones.
        body: a file is sent from where it stands, with its length.
        https_only: http is for `allow_cidrs` alone.
        caller: whose requests are counted together, so that his slow ones hold up nobody else; None for our own.

    Raises:
        OutboundError: see `Refusal`; also for what goes wrong while the body is read inside the `with`.
    """
    _check_url(url)
    sockets: list[socket.socket] = []
    with _place_of(caller) as lookups:
        deadline = time.monotonic() + timeout_s
        try:
            way = _Way(deadline, tuple(allow_cidrs), https_only, sockets, lookups)
            with _session(way) as session, _cut_at(deadline, sockets):
                response = session.request(
                    method,
                    url,
                    data=body,
                    headers={"Accept-Encoding": "identity", **(headers or {})},
                    timeout=(min(CONNECT_TIMEOUT_S, timeout_s), timeout_s),
                    stream=True,
                )
                with response:
                    yield response
        except _NETWORK_ERRORS as error:
            late = time.monotonic() >= deadline
            raise OutboundError(Refusal.TOO_SLOW if late else _refusal(error)) from error


def check_address(
    url: str,
    *,
    timeout_s: float,
    allow_cidrs: Sequence[Network] = (),
    caller: Hashable = None,
    https_only: bool = False,
) -> None:
    """
    Judge an address that is to be kept, as `send` will judge it. A name that nobody knows yet, or not in time, may come.

    Raises:
        OutboundError: it could never be sent to.
    """
    _check_url(url)
    with _place_of(caller) as lookups:
        way = _Way(time.monotonic() + timeout_s, tuple(allow_cidrs), https_only, [], lookups)
        try:
            asked = requests.Request("GET", url).prepare()
            _GuardedAdapter(urlsplit(url).scheme, way).build_connection_pool_key_attributes(asked, verify=True)
        except _NETWORK_ERRORS as error:
            if (refusal := _refusal(error)) not in {Refusal.FAILED, Refusal.TOO_SLOW}:
                raise OutboundError(refusal) from error


@contextmanager
def _place_of(caller: Hashable) -> Iterator[list[Lookup]]:
    """A place among the requests of `caller`, until the end of the `with` and of the look-up that is begun inside it."""
    lookups: list[Lookup] = []
    if caller is not None and not _places.take(caller, patience_s=_PATIENCE_S):
        raise OutboundError(Refusal.CROWDED)
    try:
        yield lookups
    finally:
        if caller is not None and lookups:
            lookups[0].add_done_callback(lambda _: _places.give_back(caller))
        elif caller is not None:
            _places.give_back(caller)


_NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    LookupTimeoutError,
    UnicodeError,
    OSError,
)


def _refusal(error: Exception) -> Refusal:
    match error:
        case InvalidIPAddress():
            return Refusal.PRIVATE
        case _PlainError():
            return Refusal.PLAIN
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema() | UnicodeError():
            return Refusal.BAD_URL
        case requests.Timeout() | urllib3.exceptions.TimeoutError() | LookupTimeoutError():
            return Refusal.TOO_SLOW
        case requests.exceptions.SSLError():
            return Refusal.CERTIFICATE
        case _:
            return Refusal.FAILED


def _check_url(url: str) -> None:
    """Refuse what two parsers could read in two ways; the host itself is judged by where it leads."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundError(Refusal.BAD_URL) from error
    is_odd = len(url) > MAX_URL_CHARS or "\\" in url or any(char <= " " or char == "\x7f" for char in url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or is_odd:
        raise OutboundError(Refusal.BAD_URL)
    if "@" in parts.netloc:
        raise OutboundError(Refusal.CREDENTIALS)


class _PlainError(requests.RequestException):
    """http to a public address, where only https will do."""


@dataclass(frozen=True)
class _Way:
    """
    How one request may go.

    Args:
        deadline: on the monotonic clock, seconds.
        allow_cidrs, https_only: as `send` has them.
        sockets: filled with what gets opened, for `_cut_at`.
        lookups: filled with the look-up, for `_place_of`.
    """

    deadline: float
    allow_cidrs: tuple[Network, ...]
    https_only: bool
    sockets: list[socket.socket]
    lookups: list[Lookup]


def _session(way: _Way) -> HTTPSession:
    config = Config(
        ip_filter_enable=True,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S),
        user_agent_override=_USER_AGENT,
    )
    session = HTTPSession(config)
    session.trust_env = False  # no proxy, no .netrc
    for scheme in ("http", "https"):
        session.mount(f"{scheme}://", _GuardedAdapter(scheme, way))
    return session


class _GuardedAdapter(IPFilterAdapter):
    """The filter, stricter (global unicast only), with a hole for allowed networks and an end to slow look-ups."""

    def __init__(self, scheme: str, way: _Way) -> None:
        super().__init__(is_https_proto=scheme == "https")
        self._way = way

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Replace the host by the one address that was looked up and checked."""
        lookup = _LOOKUPS.submit(super().build_connection_pool_key_attributes, request, verify, cert)
        self._way.lookups.append(lookup)
        try:
            host_params, pool_kwargs = lookup.result(timeout=max(0.0, self._way.deadline - time.monotonic()))
        except LookupTimeoutError:
            lookup.cancel()  # where it has not begun, it never will
            raise
        except InvalidIPAddress as error:
            address = error.args[0]
            if not any(address in network for network in self._way.allow_cidrs):
                raise
            # The filter raised after it had set the Host header, before the rest
            host_params, pool_kwargs = HTTPAdapter.build_connection_pool_key_attributes(self, request, verify, cert)
            if self._is_https_proto:
                pool_kwargs.update(assert_hostname=host_params["host"], server_hostname=host_params["host"])
            host_params["host"] = f"[{address}]" if address.version == 6 else str(address)
        else:
            address = ipaddress.ip_address(host_params["host"].strip("[]"))
            if not address.is_global or address.is_reserved or address in _SITE_LOCAL:
                raise InvalidIPAddress(address)
            is_allowed = any(address in network for network in self._way.allow_cidrs)
            if self._way.https_only and not self._is_https_proto and not is_allowed:
                raise _PlainError
        return host_params, pool_kwargs

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        make = pool.ConnectionCls

        def remembered(**options: Any) -> Any:
            connection = make(**options)
            connect = connection.connect

            def connect_and_remember() -> None:
                connect()
                self._way.sockets.append(connection.sock)  # now: at the headers' end the connection may let go of it

            connection.connect = connect_and_remember
            return connection

        pool.ConnectionCls = remembered
        return pool


@contextmanager
def _cut_at(deadline: float, sockets: list[socket.socket]) -> Iterator[None]:
    """
    Shut the sockets when time is up: a timeout of a socket begins anew with every byte that a server drips.

    Again every quarter of a second, as a connection may just be on its way to being open.
    """
    is_over, is_cut = threading.Event(), threading.Event()

    def cut() -> None:
        while not is_over.wait(max(0.25, deadline - time.monotonic())):
            is_cut.set()
            for each in list(sockets):
                with suppress(OSError):  # closed already
                    socket.socket.shutdown(each, socket.SHUT_RDWR)  # not TLS's own, which wants to talk

    watcher = threading.Thread(target=cut, name="outbound-deadline", daemon=True)
    watcher.start()
    try:
        yield
        if is_cut.is_set():  # a cut reads like an end, where the server has not told the length
            raise TimeoutError
    finally:
        is_over.set()
        watcher.join()
