"""What a log line shows of a key: its start, and no more."""

from __future__ import annotations

import pytest

from config.logs import without_secrets


@pytest.mark.parametrize("mode", ["live", "test"])
def test_of_a_key_only_its_prefix_stands_in_a_line(mode: str) -> None:
    key = f"kl_{mode}_abc" + "D3f-_" * 8

    told = without_secrets(f"header X-Api-Key: {key} was sent")

    assert told == f"header X-Api-Key: kl_{mode}_abc... was sent"
