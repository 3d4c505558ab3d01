"""A throw-away certificate authority, made with the openssl command line.

It must never be trusted by anything outside of a test's folder.
"""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

_CONFIG = """
[ca]
default_ca = one
[one]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
"""
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
LONG_AGO, LONG_HENCE = "20200101000000Z", "20490101000000Z"


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)


class Authority:
    """Signs certificates for hosts.  `ca_file` is what a client has to trust."""

    def __init__(self, folder: Path, name: str = "house authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=folder, name=name))
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("01\n")
        self._key = folder / "ca-key.pem"
        self.ca_file = folder / "ca.pem"
        openssl(
            *("req", "-x509", "-new", *_CURVE, "-config", self._config, "-extensions", "root"),
            *("-days", "3650", "-keyout", self._key, "-out", self.ca_file),
        )
        self._count = 0

    def server(
        self,
        names: str = "DNS:localhost,IP:127.0.0.1",
        start: str = LONG_AGO,
        end: str = LONG_HENCE,
    ) -> ssl.SSLContext:
        """TLS of a server with a certificate for `names`, valid between two ASN.1 dates.

        It sends its chain: the certificate and this authority's.
        """
        self._count += 1
        key, request, cert = (
            self._folder / f"{part}-{self._count}.pem" for part in ("key", "request", "cert")
        )
        openssl(
            *("req", "-new", *_CURVE, "-config", self._config, "-subj", "/CN=a host"),
            *("-addext", f"subjectAltName={names}", "-keyout", key, "-out", request),
        )
        openssl(
            *("ca", "-batch", "-notext", "-config", self._config, "-keyfile", self._key),
            *("-cert", self.ca_file, "-in", request, "-out", cert),
            *("-startdate", start, "-enddate", end),
        )
        chain = self._folder / f"chain-{self._count}.pem"
        chain.write_text(key.read_text() + cert.read_text() + self.ca_file.read_text())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context
