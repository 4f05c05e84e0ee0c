"""Which facilitator asks and moves the money of x402 here: a server elsewhere, or the chain itself with a key of ours."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from apps.payments.eip3009 import ChainFacilitator
from apps.payments.facilitator import Facilitator, RemoteFacilitator
from apps.payments.rails import x402_rail, x402_rpc_url
from apps.payments.rpc import Node


@lru_cache(maxsize=1)
def facilitator() -> Facilitator:
    """The one that the settings name."""
    if settings.X402_FACILITATOR_URL:
        return RemoteFacilitator(settings.X402_FACILITATOR_URL, x402_rail(), token=settings.X402_FACILITATOR_TOKEN)
    return ChainFacilitator(Node(x402_rpc_url()), x402_rail(), private_key=settings.X402_FACILITATOR_KEY)
