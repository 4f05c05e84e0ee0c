"""Keccak, secp256k1, RLP and the little ABI that both rails need: no web3, which would cost the web process 60 MB."""

from __future__ import annotations

from typing import Any

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak as _keccak

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_MOST_NESTING = 8

Rlp = bytes | list[Any]


class DecodeError(ValueError):
    """Bytes that are no RLP, or no signature."""


def keccak(data: bytes) -> bytes:
    """Keccak-256, as Ethereum has it."""
    return _keccak.new(digest_bits=256, data=data).digest()


def recover(digest: bytes, signature: bytes) -> str:
    """
    The lower-case address whose key signed a 32-byte digest.

    Args:
        signature: 65 bytes r, s, v; v is 0, 1, 27 or 28, s in the lower half (the other half is the same signature again).

    Raises:
        DecodeError: no such signature.
    """
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise DecodeError("a signature has 65 bytes")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise DecodeError("s is in the upper half")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] % 27]), digest, hasher=None)
    except ValueError as error:
        raise DecodeError("no key signed this") from error
    return address_of_key(key)


def address_of_key(key: PublicKey) -> str:
    """The lower-case address of a public key."""
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def checksummed(address: str) -> str:
    """An address in EIP-55's capitals, which carry a checksum; some libraries take no other form."""
    digits = address.removeprefix("0x").lower()
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(d.upper() if int(h, 16) >= 8 else d for d, h in zip(digits, hashed, strict=False))


def sign(digest: bytes, private_key: str) -> tuple[int, int, int]:
    """Sign a 32-byte digest. Returns y parity (0 or 1), r, s."""
    signature = PrivateKey(bytes.fromhex(private_key.removeprefix("0x"))).sign_recoverable(digest, hasher=None)
    return signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")


def address_of(private_key: str) -> str:
    """The lower-case address of a private key."""
    return address_of_key(PrivateKey(bytes.fromhex(private_key.removeprefix("0x"))).public_key)


# --- ABI: words of 32 bytes ---------------------------------------------------------------------------------


def word(value: int | str | bytes) -> bytes:
    """One static argument: a number, an address, or bytes that fill the word from the left."""
    if isinstance(value, int):
        return value.to_bytes(32, "big")
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")
    return value.ljust(32, b"\0")


def call_data(signature: str, *arguments: int | str | bytes) -> str:
    """The input of a call with static arguments, as `0x` hex."""
    return "0x" + (keccak(signature.encode())[:4] + b"".join(word(argument) for argument in arguments)).hex()


# --- RLP ----------------------------------------------------------------------------------------------------


def rlp_encode(item: Any) -> bytes:
    """Numbers, bytes, and lists of them."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, list | tuple):
        return _with_length(b"".join(rlp_encode(each) for each in item), 0xC0)
    data = bytes(item)
    return data if len(data) == 1 and data[0] < 0x80 else _with_length(data, 0x80)


def rlp_decode(data: bytes) -> Rlp:
    """The one item that `data` holds. Raises DecodeError."""
    item, end = _decode_at(data, 0, _MOST_NESTING)
    if end != len(data):
        raise DecodeError("bytes after the item")
    return item


def _with_length(data: bytes, offset: int) -> bytes:
    if len(data) < 56:
        return bytes([offset + len(data)]) + data
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(length)]) + length + data


def _decode_at(data: bytes, place: int, depth: int) -> tuple[Rlp, int]:
    if place >= len(data) or depth == 0:
        raise DecodeError("ends early, or nested too deeply")
    first = data[place]
    if first < 0x80:
        return data[place : place + 1], place + 1
    is_list = first >= 0xC0
    size = first - (0xC0 if is_list else 0x80)
    start = place + 1
    if size > 55:
        start += size - 55
        size = int.from_bytes(data[place + 1 : start], "big")
    end = start + size
    if end > len(data):
        raise DecodeError("ends early")
    if not is_list:
        return data[start:end], end
    items: list[Any] = []
    while start < end:
        item, start = _decode_at(data, start, depth - 1)
        items.append(item)
    if start != end:
        raise DecodeError("an item leaves its list")
    return items, end
