"""What an X.509 certificate says about itself: for whom, by whom, until when. Nothing of it is verified here."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE, _OCTETS, _OID, _UTC_TIME, _TIME = 0x30, 0x04, 0x06, 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME, _ALTERNATIVE_NAMES = bytes.fromhex("550403"), bytes.fromhex("551d11")
_BMP_STRING = 0x1E
#: More than any certificate has of both: they bound the work for bytes that are none.
_MOST_ELEMENTS, _MOST_BYTES = 1000, 1 << 20


@dataclass(frozen=True, slots=True)
class Certificate:
    """Names are as people read them: the common name, or all that there is."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    #: Host names and addresses that it is for.
    names: tuple[str, ...] = ()


def parse_pem(text: str) -> Certificate:
    """The first certificate of a PEM file. Raises ValueError."""
    begin = text.find(ssl.PEM_HEADER)
    end = text.find(ssl.PEM_FOOTER, begin)
    if begin < 0 or end < 0:
        raise ValueError("holds no certificate in PEM format")
    return parse_der(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)]))


def parse_der(data: bytes) -> Certificate:
    """A certificate in DER. Raises ValueError for anything else."""
    if len(data) > _MOST_BYTES:
        raise ValueError("is too large for a certificate")
    certificate = _first(data, _SEQUENCE)
    fields = [(tag, value) for tag, value in _elements(_first(certificate, _SEQUENCE)) if tag != _VERSION]
    # serial, signature algorithm, issuer, validity, subject, key, …
    if len(fields) < 6 or any(tag != _SEQUENCE for tag, _ in fields[1:6]):
        raise ValueError("is no certificate")
    begin, end = _validity(fields[3][1])
    extensions = next((value for tag, value in fields if tag == _EXTENSIONS), b"")
    return Certificate(_name(fields[4][1]), _name(fields[2][1]), begin, end, _alternative_names(extensions))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        if at == len(data):
            return
        if at + 2 > len(data):
            break
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or at + size > len(data):
                break
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            break
        yield tag, data[at : at + length]
        at += length
    raise ValueError("is no certificate")


def _first(data: bytes, wanted: int) -> bytes:
    for tag, value in _elements(data):
        if tag == wanted:
            return value
        break
    raise ValueError("is no certificate")


def _validity(data: bytes) -> tuple[datetime, datetime]:
    times = [_time(tag, value) for tag, value in _elements(data)]
    if len(times) != 2:
        raise ValueError("has no time of validity")
    return times[0], times[1]


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _TIME:
        raise ValueError("has no time of validity")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(data: bytes) -> str:
    parts: list[tuple[bytes, str]] = []
    for _, attributes in _elements(data):
        for _, attribute in _elements(attributes):
            (_, oid), *values = list(_elements(attribute)) or [(0, b"")]
            parts += [(oid, _text(tag, value)) for tag, value in values]
    common = [text for oid, text in parts if oid == _COMMON_NAME]
    return _printable(", ".join(common or [text for _, text in parts]))


def _text(tag: int, value: bytes) -> str:
    return value.decode("utf-16-be" if tag == _BMP_STRING else "utf-8", "replace")


def _printable(text: str) -> str:
    """It comes from a stranger and goes to a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _alternative_names(extensions: bytes) -> tuple[str, ...]:
    if not extensions:
        return ()
    for _, extension in _elements(_first(extensions, _SEQUENCE)):
        parts = list(_elements(extension))
        if len(parts) < 2 or parts[0] != (_OID, _ALTERNATIVE_NAMES) or parts[-1][0] != _OCTETS:
            continue
        names = []
        for tag, value in _elements(_first(parts[-1][1], _SEQUENCE)):
            if tag == _DNS_NAME:
                names.append(_printable(value.decode("utf-8", "replace")))
            elif tag == _IP_ADDRESS and len(value) in (4, 16):
                names.append(str(ipaddress.ip_address(value)))
        return tuple(names)
    return ()
