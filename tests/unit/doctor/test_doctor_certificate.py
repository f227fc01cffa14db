"""A certificate says the same here as to the `cryptography` package; anything else is refused with a ValueError."""

from __future__ import annotations

import datetime as dt
import ipaddress
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from litefleet.doctor.certificate import parse_der, parse_pem

#: Characters that are shown as they are.
words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40)
hosts = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,10}){0,3}", fullmatch=True)
addresses = st.ip_addresses()
#: On both sides of 2050, where certificates change their way of writing a time.
times = st.datetimes(dt.datetime(1951, 1, 1), dt.datetime(2400, 1, 1)).map(lambda time: time.replace(microsecond=0))  # noqa: DTZ001


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: x509.Name,
    issuer: x509.Name,
    begin: dt.datetime,
    end: dt.datetime,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .not_valid_before(begin)
        .not_valid_after(end)
        .serial_number(x509.random_serial_number())
        .public_key(key().public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key(), SHA256())


def name(common: str | None, organisation: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]
    if common is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common))
    return x509.Name(attributes)


@given(words, words, st.none() | words, st.tuples(times, times), st.tuples(st.lists(hosts), st.lists(addresses)))
def test_what_was_put_in_is_read(
    subject: str,
    issuer: str,
    common: str | None,
    validity: tuple[dt.datetime, dt.datetime],
    places: tuple[list[str], list[ipaddress.IPv4Address | ipaddress.IPv6Address]],
) -> None:
    begin, end = sorted(validity)
    dns, ips = places
    names: list[x509.GeneralName] = [*map(x509.DNSName, dns), *map(x509.IPAddress, ips)]
    made = certificate(name(subject, "x"), name(common, issuer), begin, end, names)
    for found in (
        parse_der(made.public_bytes(Encoding.DER)),
        parse_pem(made.public_bytes(Encoding.PEM).decode()),
    ):
        assert found.subject == subject
        assert found.issuer == (issuer if common is None else common)
        assert (found.not_before, found.not_after) == (made.not_valid_before_utc, made.not_valid_after_utc)
        assert found.names == (*dns, *map(str, ips))


@cache
def sound() -> bytes:
    begin = dt.datetime(2026, 1, 1)  # noqa: DTZ001
    names: list[x509.GeneralName] = [x509.DNSName("db.example")]
    made = certificate(name("db", "x"), name("ca", "x"), begin, begin + dt.timedelta(days=90), names)
    return made.public_bytes(Encoding.DER)


def reads_or_refuses(data: bytes) -> None:
    try:
        parse_der(data)
    except ValueError as error:
        assert str(error)  # noqa: PT017


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reads_or_refuses(data)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_refused(at: int, value: int) -> None:
    data = bytearray(sound())
    data[at % len(data)] = value
    reads_or_refuses(bytes(data))


@given(st.integers(0, 10_000))
def test_a_certificate_that_is_cut_off_is_refused(at: int) -> None:
    data = sound()
    with pytest.raises(ValueError, match="certificate"):
        parse_der(data[: at % len(data)])


def test_nothing_that_would_move_a_cursor_gets_to_the_terminal() -> None:
    begin = dt.datetime(2026, 1, 1)  # noqa: DTZ001
    made = certificate(name("a\033[2Jb", "x"), name("ca", "x"), begin, begin, [])
    assert parse_der(made.public_bytes(Encoding.DER)).subject == "a?[2Jb"


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "no certificate"])
def test_a_file_without_a_certificate(text: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        parse_pem(text)


def test_a_file_with_a_damaged_certificate() -> None:
    with pytest.raises(ValueError):
        parse_pem("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n")
