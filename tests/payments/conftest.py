"""The rig's two chains for a session, and a service in this process that is paid on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import Api
from tests.payments.fixtures import desk, point_at, tempo_chain  # noqa: F401 - fixtures of this folder
from tests.payments.paying import Rig
from tests.payments.rig import chains


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    asked = os.environ.get("KEYLINE_RIG", "")  # "1": there has to be one; "auto": where this machine can have one
    if not asked:
        pytest.skip("needs the chains and the clients from npm: make test-payments")
    if lacking := chains.why_not():
        if asked == "auto":
            pytest.skip(lacking)
        raise chains.RigError(f"The payments cannot be tried on chains: {lacking}.")
    chains.install()
    running = Rig(chains.start_x402_chain(), chains.start_mpp_chain())
    yield running
    running.x402.stop()
    running.mpp.stop()


@pytest.fixture
def paid(desk: Api, rig: Rig, settings: Any) -> Api:  # noqa: F811 - the fixture, not the import
    """The same on the rig's chains."""
    point_at(settings, x402_url=rig.x402.url, mpp_url=rig.mpp.url)
    return desk
