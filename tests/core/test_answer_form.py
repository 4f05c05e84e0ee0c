"""`Accept` and the field `answer`, as PRODUCT's section 1 orders them."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from apps.core.api.negotiation import answer_form

DEFAULT = None  # whatever the endpoint's is
IMAGE, JSON = True, False


def is_binary(accept: str, *, default: bool, answer: str | None = None) -> bool:
    request = RequestFactory().get("/", headers={"Accept": accept} if accept else {})
    return answer_form(request, binary_default=default, answer=answer).binary


@pytest.mark.parametrize("default", [IMAGE, JSON])
@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", DEFAULT),
        ("*/*", DEFAULT),
        ("*", DEFAULT),
        ("text/html", DEFAULT),
        ("application/json", JSON),
        ("application/*", JSON),
        ("Application/JSON", JSON),
        ("application/problem+json", JSON),
        ("application/json; charset=utf-8", JSON),
        ("image/*", IMAGE),
        ("image/png", IMAGE),
        ("image/webp", IMAGE),
        # */* beside JSON, as libraries add it
        ("application/json, text/plain, */*", DEFAULT),
        ("*/*, application/json", DEFAULT),
        ("application/json, */*;q=1.0", DEFAULT),
        ("application/json, */*;q=0.9", JSON),
        ("text/plain, application/json;q=0.8, */*;q=0.1", JSON),
        ("application/json;q=0.5, */*", DEFAULT),
        ("application/*, */*", DEFAULT),
        # images and JSON, both named
        ("application/json, image/*", IMAGE),
        ("image/png, application/json", IMAGE),
        ("application/json, image/png;q=0.9", JSON),
        ("application/json;q=0.9, image/png", IMAGE),
        ("application/json;q=0.3, image/gif;q=0.1, image/webp;q=0.3", IMAGE),
        ("application/json, image/png, */*", IMAGE),
        ("application/json, image/png;q=0.9, */*;q=0.9", JSON),
        ("application/json, image/png;q=0.9, */*", DEFAULT),
        # a browser, and Java's own client
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", IMAGE),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", IMAGE),
        ("image/png;q=0.5, */*", DEFAULT),
        ("image/png;q=0.5, */*;q=0.5", IMAGE),
        # refused by name
        ("application/json;q=0, */*", IMAGE),
        ("application/json;q=0", IMAGE),
        ("image/*;q=0, */*", JSON),
        ("image/png;q=0, application/json", JSON),
        ("image/png;q=0.000, */*", JSON),
        ("image/gif;q=0, */*", DEFAULT),
        ("image/*;q=0, application/json;q=0", DEFAULT),
        ("application/json;q=0, application/*, image/png;q=0.1", IMAGE),
        # what cannot be read is not said
        ("nonsense;;;q=x", DEFAULT),
        (";,;,", DEFAULT),
        ("application/json;q=nan", JSON),
        ("application/json;q=much, */*;q=0.5", JSON),
        ("application/json; Q = 0.5 , image/png; q=0.4", JSON),
        ("image/png" + ";a=b" * 9000, IMAGE),
        ("application/json;q*=nobody''x", DEFAULT),
    ],
)
def test_accept_decides_by_what_is_named_and_leaves_the_rest_to_the_endpoint(
    accept: str, form: bool | None, default: bool
) -> None:
    assert is_binary(accept, default=default) is (default if form is DEFAULT else form)


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "image/*", "image/png;q=0"])
@pytest.mark.parametrize("default", [IMAGE, JSON])
def test_answer_wins_over_accept(accept: str, default: bool) -> None:
    assert is_binary(accept, default=default, answer="image") is IMAGE
    assert is_binary(accept, default=default, answer="json") is JSON
