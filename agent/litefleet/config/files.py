"""Whether the files that settings name are there, and hold what NATS needs.

Each check raises ValueError with a text that fits behind ``key: path:``, and repeats nothing of a file.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import stat
from pathlib import Path

import nkeys

_MAX_BYTES = 1024 * 1024
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEED_ADVICE = (
    "an nkey seed of a user starts with SU and has 58 characters (`nk -gen user`, `nsc generate nkey --user`)"
)
_CREDS_ADVICE = "write it again with `nsc generate creds`"


def check_jwt(jwt: str, seed: str | None) -> None:
    """``jwt`` has the form of a JWT and, with ``seed``, is about the user whose seed that is."""
    if not _JWT.fullmatch(jwt):
        raise ValueError("is no JWT of the form `eyJ….….…` on one line; `nsc describe user --raw` prints it")
    if seed is None:
        return
    body = jwt.split(".")[1]
    try:
        subject = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ValueError("is no JWT of a user: its middle part names nobody; copy it again") from None
    if subject != nkeys.from_seed(bytearray(seed.encode())).public_key.decode():
        raise ValueError("is not about the user whose seed `seed` is; take both from one creds file")


def check_seed(seed: str) -> None:
    """``seed`` is a user's nkey seed, checksum included."""
    kinds = {
        nkeys.PREFIX_BYTE_ACCOUNT: "an account",
        nkeys.PREFIX_BYTE_OPERATOR: "an operator",
        nkeys.PREFIX_BYTE_SERVER: "a server",
        nkeys.PREFIX_BYTE_CLUSTER: "a cluster",
    }
    try:
        prefix, raw = nkeys.decode_seed(seed.encode("ascii"))
        # The library does not look at the checksum, but it can write it again.
        valid = nkeys.encode_seed(bytes(raw), prefix) == seed.encode("ascii")
    except (ValueError, nkeys.NkeysError):
        prefix, valid = None, False
    if not valid:
        kind = "a public key, not its seed" if re.fullmatch(r"U[A-Z2-7]{55}", seed) else "no valid nkey seed"
        raise ValueError(f"is {kind}; {_SEED_ADVICE}")
    if prefix != nkeys.PREFIX_BYTE_USER:
        raise ValueError(f"is the seed of {kinds[prefix]}, not of a user; {_SEED_ADVICE}")


def check_seed_file(path: Path) -> None:
    """The file holds a user's nkey seed and nothing else but white space."""
    try:
        check_seed(read_text(path).strip())
    except UnreadableFile:
        raise
    except ValueError as error:
        raise ValueError(f"what it holds {error}") from None


def check_creds(path: Path) -> None:
    """The file is a whole creds file. NATS clients look at less, and one without a JWT stops nats-py for ever."""
    text = read_text(path)
    if "\r" in text:
        raise ValueError("has Windows line ends, which NATS clients cannot read; convert it with `sed -i 's/\\r$//'`")
    jwt, seed = _block(text, "NATS USER JWT"), _block(text, "USER NKEY SEED")
    for name, found in (("JWT", jwt), ("NKEY SEED", seed)):
        if found is None:
            raise ValueError(f"has no complete {name} block and is no creds file; {_CREDS_ADVICE}")
    if not _JWT.fullmatch(jwt or ""):
        raise ValueError(f"what stands in its JWT block is no JWT on one line; {_CREDS_ADVICE}")
    try:
        check_seed(seed or "")
    except ValueError:
        raise ValueError(f"what stands in its NKEY SEED block is no user's seed; {_CREDS_ADVICE}") from None


def check_root_ca(path: Path) -> None:
    """The file holds certificates in PEM form."""
    text = read_text(path)
    if "PRIVATE KEY-----" in text:
        raise ValueError("holds a private key; name the file with the CA's certificate only")
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError("holds no PEM certificate; it must have `-----BEGIN CERTIFICATE-----`")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError("holds a PEM certificate that cannot be read; copy it again") from None


def check_client_cert(path: Path) -> None:
    """The file holds a certificate in PEM form; those that lead to the CA, and the key, may stand beside it."""
    certificates = _CERTIFICATE.findall(read_text(path))
    if not certificates:
        raise ValueError("holds no PEM certificate; it must have `-----BEGIN CERTIFICATE-----`")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="\n".join(certificates))
    except (ssl.SSLError, ValueError):
        raise ValueError("holds a PEM certificate that cannot be read; copy it again") from None


def check_client_key(path: Path, certificate: Path | None) -> None:
    """The file holds the key of ``certificate`` in PEM form, without a password."""
    text = read_text(path)
    if "PRIVATE KEY-----" not in text:
        raise ValueError("holds no PEM private key; it must have `-----BEGIN PRIVATE KEY-----`")
    if "ENCRYPTED" in text:
        raise ValueError("is protected by a password that nobody is there to type; `openssl pkey` writes it without")
    if certificate is None:
        return
    try:
        check_client_cert(certificate)
    except ValueError:
        return  # the certificate's own problem
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, path, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"is not the key of the certificate in {certificate}") from None
        raise ValueError("holds a PEM private key that cannot be read; copy it again") from None


class UnreadableFile(ValueError):
    """The file is not there, or is not ours to read."""


def read_text(path: Path, *, limit: int = _MAX_BYTES) -> str:
    """The file's text; raises UnreadableFile, also for what is no regular file and cannot end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile("is not a file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableFile("does not exist; create it or correct the path") from None
    except PermissionError:
        raise UnreadableFile("may not be read by this user; change its owner or mode") from None
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise UnreadableFile(f"is larger than {limit // 1024} KiB and surely not the right file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile("is not UTF-8 text") from None


def _block(text: str, name: str) -> str | None:
    """The line after the block's first, if its last line is there too; of several blocks clients read the first."""
    match = re.search(rf"^-+BEGIN {name}-+\n(.*)\n-+END {name}-+$", text, re.MULTILINE)
    return match[1] if match and text.find(f"BEGIN {name}") > match.start() else None
