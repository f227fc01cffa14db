"""A NATS operator for tests: accounts and users as signed JWTs, and creds files."""

from __future__ import annotations

import base64
import json
import os
import time
from typing import Any, NamedTuple

import nkeys

NO_LIMITS = {"subs": -1, "data": -1, "payload": -1}


class Key:
    """An nkey of a kind: ``nkeys.PREFIX_BYTE_OPERATOR``, ``_ACCOUNT`` or ``_USER``."""

    def __init__(self, kind: int) -> None:
        self.seed: str = nkeys.encode_seed(os.urandom(32), kind).decode()
        self.public: str = nkeys.from_seed(bytearray(self.seed.encode())).public_key.decode()

    def jwt(self, subject: str, claims: dict[str, Any], *, expires: float | None = None) -> str:
        """Claims about ``subject``, signed with this key; ``expires`` in seconds from now."""
        body: dict[str, Any] = {
            "jti": os.urandom(8).hex(),
            "iat": int(time.time()),
            "iss": self.public,
            "sub": subject,
            "name": "test",
            "nats": {**claims, "version": 2},
        }
        if expires is not None:
            body["exp"] = int(time.time() + expires)
        signed = f"{_b64({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_b64(body)}"
        signature = nkeys.from_seed(bytearray(self.seed.encode())).sign(signed.encode())
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class User(NamedTuple):
    """What a user logs in with, and the public key by which others know it."""

    jwt: str
    seed: str
    public: str


class Operator:
    """One operator with one account that may use JetStream."""

    def __init__(self) -> None:
        self._key = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        # Signed once: a server does not reload with another operator, even if only the time of signing differs.
        self._jwt = self._key.jwt(self._key.public, {"type": "operator", "system_account": self._system.public})

    def config(self, *, revoked: tuple[str, ...] = ()) -> dict[str, Any]:
        """What nats-server needs; ``revoked`` are public keys of users."""
        limits = {**NO_LIMITS, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        system: dict[str, Any] = {"type": "account", "limits": limits}
        account: dict[str, Any] = {"type": "account", "limits": limits | storage}
        if revoked:
            account["revocations"] = dict.fromkeys(revoked, int(time.time()) + 1)
        return {
            "operator": self._jwt,
            "system_account": self._system.public,
            "resolver": "MEMORY",
            "resolver_preload": {
                self._system.public: self._key.jwt(self._system.public, system),
                self._account.public: self._key.jwt(self._account.public, account),
            },
        }

    def user(self, *, expires: float | None = None) -> User:
        """A new user; ``expires`` in seconds from now."""
        key = Key(nkeys.PREFIX_BYTE_USER)
        return User(self._account.jwt(key.public, {"type": "user", **NO_LIMITS}, expires=expires), key.seed, key.public)

    def creds(self, *, expires: float | None = None) -> tuple[str, str]:
        """The text of a creds file for a new user, and the user's public key."""
        user = self.user(expires=expires)
        text = (
            f"-----BEGIN NATS USER JWT-----\n{user.jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        return text, user.public
