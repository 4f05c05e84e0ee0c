"""What the settings offer: on which network, to whom, at what address; and which host name offers which rail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

from apps.payments.models import Rail

MAX_TIMEOUT_S = 120
"""How long a signed x402 payment is to stay good: the work, the settlement, and a margin."""


@dataclass(frozen=True)
class Network:
    """An EVM chain and its dollar, as both versions of x402 call them."""

    v1_name: str
    chain_id: int
    asset: str
    domain_name: str
    domain_version: str
    rpc_url: str

    @property
    def caip2(self) -> str:
        return f"eip155:{self.chain_id}"


# Circle's USDC, and its EIP-712 domain, which differs between the two.
NETWORKS = {
    "base": Network(
        "base", 8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2", "https://mainnet.base.org"
    ),
    "base-sepolia": Network(
        "base-sepolia", 84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2", "https://sepolia.base.org"
    ),
}
PATH_USD = "0x20c0000000000000000000000000000000000000"
TEMPO_RPC_URLS = {4217: "https://rpc.tempo.xyz", 42431: "https://rpc.moderato.tempo.xyz"}


@dataclass(frozen=True)
class X402Rail:
    """Where x402 payments go."""

    network: Network
    pay_to: str


@dataclass(frozen=True)
class MppRail:
    """Where MPP payments go."""

    chain_id: int
    currency: str
    recipient: str
    realm: str


@lru_cache(maxsize=1)
def x402_rail() -> X402Rail:
    return X402Rail(NETWORKS[settings.X402_NETWORK], settings.X402_PAY_TO)


@lru_cache(maxsize=1)
def mpp_rail() -> MppRail:
    return MppRail(settings.MPP_CHAIN_ID, PATH_USD, settings.MPP_RECIPIENT, settings.MPP_REALM)


def x402_rpc_url() -> str:
    return settings.X402_RPC_URL or x402_rail().network.rpc_url


def mpp_rpc_url() -> str:
    return settings.MPP_RPC_URL or TEMPO_RPC_URLS[settings.MPP_CHAIN_ID]


def rails_on() -> frozenset[Rail]:
    """The rails that any host name offers."""
    names = [*settings.PAYMENT_RAILS, *(name for names in settings.PAYMENT_RAIL_HOSTS.values() for name in names)]
    return frozenset(Rail(name) for name in names)


def rails_for(request: HttpRequest) -> tuple[Rail, ...]:
    """The rails that this host name offers, in the order of the settings."""
    host = request.get_host().partition(":")[0].lower()
    names = settings.PAYMENT_RAIL_HOSTS.get(host, settings.PAYMENT_RAILS)
    return tuple(Rail(name) for name in names)
