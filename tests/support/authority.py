"""A certificate authority whose certificates are in files, as servers and agents want them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme


@dataclass
class Authority:
    """A CA whose certificate is in a file."""

    ca: trustme.CA
    file: Path
    dir: Path

    @classmethod
    def create(cls, directory: Path, name: str = "ca") -> Authority:
        """A new one; its certificate is ``NAME.pem``."""
        ca, file = trustme.CA(), directory / f"{name}.pem"
        ca.cert_pem.write_to_path(str(file))
        return cls(ca, file, directory)

    def issue(self, file: str, *names: str, **options: Any) -> tuple[Path, Path]:
        """The files of a new certificate for ``names`` and of its key: ``FILE.crt`` and ``FILE.key``."""
        issued = self.ca.issue_cert(*names, **options)
        cert, key = self.dir / f"{file}.crt", self.dir / f"{file}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def server_tls(self, *names: str, **options: Any) -> dict[str, Any]:
        """The `tls` block of a server with a new certificate."""
        cert, key = self.issue("server", *(names or ("127.0.0.1", "localhost")), **options)
        return {"cert_file": str(cert), "key_file": str(key)}

    def mutual_tls(self, **more: Any) -> dict[str, Any]:
        """The `tls` block of a server that lets nobody in without a certificate of this CA."""
        return {**self.server_tls(), "ca_file": str(self.file), "verify": True, **more}
