"""From the settings of a login to what nats-py's ``connect`` takes; files are checked before they are used."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import nkeys

from litefleet.config.settings import Credentials
from litefleet.errors import AuthenticationFailed

JWT_MARK = "BEGIN NATS USER JWT"
SEED_MARK = "BEGIN USER NKEY SEED"


class LoginOptions(TypedDict, total=False):
    """Arguments of ``nats.aio.client.Client.connect``."""

    user: str
    password: str
    token: str
    nkeys_seed_str: str
    user_jwt_cb: Callable[[], bytes]
    signature_cb: Callable[[str], bytes]


class LoginFileBroken(OSError):
    """A credentials file became unreadable while connections depend on it; carries what to tell the user."""

    def __init__(self, error: AuthenticationFailed) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class UserCredentials:
    """The two blocks of a creds file, or the same as settings."""

    jwt: str
    seed: str

    def __repr__(self) -> str:
        return "UserCredentials(…)"


def describe(credentials: Credentials) -> str:
    """The kind of login, for messages; never a secret."""
    if credentials.creds is not None:
        return f"the credentials file `{credentials.creds}`"
    if credentials.jwt is not None:
        return "the JWT"
    if credentials.nkey is not None:
        return f"the nkey file `{credentials.nkey}`" if _is_file(credentials.nkey) else "the nkey"
    if credentials.token is not None:
        return "the token"
    if credentials.username is not None:
        return f"the password of user `{credentials.username}`"
    return "a client without credentials"


def login_options(credentials: Credentials) -> LoginOptions:
    """How to log in.

    Raises ``AuthenticationFailed`` for a file that cannot be read or a seed that is none.
    """
    if credentials.creds is not None:
        read_creds(credentials.creds)
        return _jwt_options(partial(_read_again, credentials.creds))
    if credentials.jwt is not None:
        seed = (credentials.seed or "").strip()
        _check_seed(seed, "`seed`, beside `jwt`")
        user = UserCredentials(credentials.jwt.strip(), seed)
        return _jwt_options(lambda: user)
    if credentials.nkey is not None:
        return {"nkeys_seed_str": _nkey_seed(credentials.nkey)}
    if credentials.token is not None:
        return {"token": credentials.token}
    if credentials.username is not None:
        return {"user": credentials.username, "password": credentials.password or ""}
    return {}


def nkey_renewal(credentials: Credentials) -> Callable[[], str] | None:
    """What reads the seed of an nkey file anew, and raises as ``login_options``; None for any other login.

    A creds file needs none: nats-py asks for what is in it at every login.
    """
    nkey = credentials.nkey
    return partial(_nkey_seed, nkey) if nkey is not None and _is_file(nkey) else None


def read_creds(path: Path) -> UserCredentials:
    """Both blocks of a creds file.

    Raises ``AuthenticationFailed`` when the file cannot be read, a block is missing or the seed is damaged.
    """
    lines = _read(path, "credentials file").splitlines()
    jwt, seed = _block(lines, JWT_MARK), _block(lines, SEED_MARK)
    for mark, value in ((JWT_MARK, jwt), (SEED_MARK, seed)):
        if not value:
            raise AuthenticationFailed(
                f"The credentials file `{path}` has no `{mark}` block",
                hint="write it anew, for example with `nsc generate creds`",
            )
    _check_seed(seed, f"the credentials file `{path}`")
    return UserCredentials(jwt, seed)


def _read_again(path: Path) -> UserCredentials:
    """A creds file at every login, so that a replaced file needs no restart."""
    try:
        return read_creds(path)
    except AuthenticationFailed as error:
        raise LoginFileBroken(error) from error


def _jwt_options(read: Callable[[], UserCredentials]) -> LoginOptions:
    def jwt() -> bytes:
        return read().jwt.encode()

    def sign(nonce: str) -> bytes:
        pair = nkeys.from_seed(bytearray(read().seed.encode()))
        try:
            return base64.b64encode(pair.sign(nonce.encode()))
        finally:
            pair.wipe()

    return {"user_jwt_cb": jwt, "signature_cb": sign}


def _nkey_seed(nkey: str) -> str:
    if _is_file(nkey):
        seed = _read(Path(nkey), "nkey file").strip()
        _check_seed(seed, f"the nkey file `{nkey}`")
        return seed
    _check_seed(nkey.strip(), "the nkey of the configuration")
    return nkey.strip()


def _is_file(nkey: str) -> bool:
    return nkey.startswith("/")


def _check_seed(seed: str, where: str) -> None:
    try:
        nkeys.from_seed(bytearray(seed.encode())).wipe()
    except Exception as error:  # nkeys lets binascii and its own errors out
        raise AuthenticationFailed(
            f"No valid seed in {where}", hint="a seed of a user begins with `SU` and has 58 characters"
        ) from error


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AuthenticationFailed(
            f"Cannot read the {what} `{path}`: {error.strerror}", hint="check its path, its owner and its mode"
        ) from error
    except UnicodeDecodeError as error:
        raise AuthenticationFailed(f"The {what} `{path}` is not text", hint="check its path") from error


def _block(lines: list[str], mark: str) -> str:
    for number, line in enumerate(lines):
        if mark in line:
            return next((text.strip() for text in lines[number + 1 :] if text.strip()), "")
    return ""
