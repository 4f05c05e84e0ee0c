"""Addresses that a client chose: public hosts only, no redirects, no proxy, an end to every wait."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FETCH = "tests/core/test_fetch.py"
_FILE = "apps/core/intake/outbound.py"
_GLOBAL = "if not address.is_global or address.is_reserved or address in _SITE_LOCAL:"
_SPELLINGS = f"{_FETCH}::test_every_spelling_of_a_private_address_is_refused"

MUTANTS = (
    Mutant("addresses that only look public", _FILE, _GLOBAL, "if address in _SITE_LOCAL:", _SPELLINGS),
    Mutant(
        "the old site-local addresses", _FILE, _GLOBAL, _GLOBAL.replace(" or address in _SITE_LOCAL", ""), _SPELLINGS
    ),
    Mutant(
        "one allowed network opens all of them",
        _FILE,
        "if not any(address in network for network in self._way.allow_cidrs):",
        "if not self._way.allow_cidrs:",
        f"{_FETCH}::test_an_allowed_network_opens_nothing_else",
    ),
    Mutant(
        "redirects are followed",
        _FILE,
        "never_redirect=True,",
        "never_redirect=False,",
        f"{_FETCH}::test_a_redirect_is_not_followed_and_said_so",
    ),
    Mutant(
        "the environment's proxy is asked",
        _FILE,
        "session.trust_env = False",
        "session.trust_env = True",
        f"{_FETCH}::test_no_proxy_of_the_environment_is_used",
    ),
    Mutant(
        "user names in addresses",
        _FILE,
        'if "@" in parts.netloc:',
        "if False:",
        f"{_FETCH}::test_what_is_not_a_plain_http_url_is_refused",
    ),
    Mutant(
        "addresses that two parsers read in two ways",
        _FILE,
        'is_odd = len(url) > MAX_URL_CHARS or "\\\\" in url or',
        "is_odd = len(url) > MAX_URL_CHARS or",
        f"{_FETCH}::test_what_is_not_a_plain_http_url_is_refused",
    ),
    Mutant(
        "a name server may take its time",
        _FILE,
        "lookup.result(timeout=max(0.0, self._way.deadline - time.monotonic()))",
        "lookup.result()",
        f"{_FETCH}::test_a_look_up_that_hangs_is_left_when_time_is_up",
    ),
    Mutant(
        "a server may drip",
        _FILE,
        "            is_cut.set()\n            for each in list(sockets):",
        "            for each in ():",
        f"{_FETCH}::test_a_slow_server_is_left_when_time_is_up",
    ),
    Mutant(
        "an error page is an image",
        "apps/core/intake/fetch.py",
        "    if status != 200:",
        "    if False:",
        f"{_FETCH}::test_any_answer_but_a_whole_200_is_a_failed_download",
    ),
)
