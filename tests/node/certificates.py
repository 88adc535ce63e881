"""Certificates for the tests of TLS."""

import shutil
import subprocess
from pathlib import Path

import pytest

from streamer.node.peers import TlsFiles


def certificates(folder: Path) -> TlsFiles:
    """A certificate for 127.0.0.1 that is its own authority; skips where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    call = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=node"]
    call += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem")]
    subprocess.run([*call, "-out", str(folder / "node.pem")], check=True, capture_output=True)
    return TlsFiles(certificate=folder / "node.pem", key=folder / "key.pem", authority=folder / "node.pem")
