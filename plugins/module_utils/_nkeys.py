"""NATS user nkeys: make a seed, and the public key of a seed. For this collection's own plugins only.

A seed is base32 of two prefix bytes, the 32 secret bytes of an Ed25519 key, and a CRC-16; a public key is the same with
one prefix byte. Only ``cryptography`` is needed.
"""

from __future__ import annotations

import base64
import binascii
import os

_SEED = 18 << 3  # "S"
_USER = 20 << 3  # "U"


class BadSeed(ValueError):
    """The text is not the seed of a NATS user."""


def _encode(raw: bytes) -> str:
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


def new_user_seed() -> str:
    """A new secret seed, ``SU…``."""
    head = bytes((_SEED | (_USER >> 5), (_USER & 31) << 3))
    return _encode(head + os.urandom(32))


def public_key(seed: str) -> str:
    """The public key ``U…`` of a user's seed; BadSeed never repeats the text."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text = seed.strip()
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise BadSeed("it is not base32") from error
    if len(raw) != 36 or binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise BadSeed("its length or checksum is wrong")
    if raw[0] & 0xF8 != _SEED or ((raw[0] & 7) << 5 | raw[1] >> 3) != _USER:
        raise BadSeed("it is not the seed of a user (SU…)")
    key = Ed25519PrivateKey.from_private_bytes(raw[2:-2]).public_key()
    return _encode(bytes((_USER,)) + key.public_bytes(Encoding.Raw, PublicFormat.Raw))
