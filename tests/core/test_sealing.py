"""What is sealed can be read with its key, the one before too, and with no other."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core.sealing import SealBrokenError, seal, unseal

NEW, OLD = "n" * 32, "o" * 32


def test_a_seal_says_nothing_and_opens_with_its_key(settings: Any) -> None:
    settings.SECRETS_KEYS = [NEW]

    token = seal("whsec_5ecret")

    assert "5ecret" not in token
    assert token != seal("whsec_5ecret")
    assert unseal(token) == "whsec_5ecret"


def test_the_key_before_opens_and_seals_no_more(settings: Any) -> None:
    settings.SECRETS_KEYS = [OLD]
    before = seal("old")

    settings.SECRETS_KEYS = [NEW, OLD]
    after = seal("new")

    assert (unseal(before), unseal(after)) == ("old", "new")
    settings.SECRETS_KEYS = [OLD]
    with pytest.raises(SealBrokenError):
        unseal(after)


@pytest.mark.parametrize("token", ["", "x", "gAAAAA==", "é"])
def test_what_is_no_seal_is_told(settings: Any, token: str) -> None:
    settings.SECRETS_KEYS = [NEW]

    with pytest.raises(SealBrokenError):
        unseal(token)
