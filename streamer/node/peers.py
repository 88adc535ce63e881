"""Other DICOM nodes: how they are named, whether a caller is one of them, and TLS between them and this one."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SettingsError

_PEER = re.compile(r"(?P<tls>tls:)?(?P<aet>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(:(?P<port>\d{1,5}))?")
_AET = re.compile(r"(?! *$)[ -\[\]-~]{1,16}")
"""PS3.5, 6.2: up to 16 characters of the default repertoire, neither backslash nor control, not blank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another node.

    Attributes:
        aet: its application entity title.
        host: name or address.
        port: on which it listens; None where it is only known to call.
        tls: whether it is called by TLS.

    Example:
        >>> str(Peer.parse("PACS@192.0.2.7:104"))
        'PACS@192.0.2.7:104'
    """

    aet: str
    host: str
    port: int | None = None
    tls: bool = False

    @classmethod
    def parse(cls, text: str, *, listens: bool = False) -> Peer:
        """The node that `[tls:]AET@HOST[:PORT]` names.

        Args:
            text: as a user writes it; an IPv6 address stands in brackets.
            listens: whether the port must be given.

        Raises:
            SettingsError: it names none.
        """
        found = _PEER.fullmatch(text.strip())
        wanted = "AET@HOST:PORT" if listens else "AET@HOST or AET@HOST:PORT"
        if found is None or (listens and found["port"] is None):
            raise SettingsError(f"a DICOM node is written {wanted}; got {text!r}")
        port = None if found["port"] is None else int(found["port"])
        if port is not None and not 1 <= port <= 65535:
            raise SettingsError(f"a port is a number from 1 to 65535; got {text!r}")
        return cls(
            aet=checked_aet(found["aet"]), host=found["host"].strip("[]"), port=port, tls=found["tls"] is not None
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls:' if self.tls else ''}{self.aet}@{host}{'' if self.port is None else f':{self.port}'}"

    def is_at(self, address: str) -> bool:
        """Whether `address` is one of its own; a name is looked up anew each time."""
        try:
            found = {_plain(str(info[4][0])) for info in socket.getaddrinfo(self.host, None)}
        except OSError:
            return False
        return _plain(address) in found


def checked_aet(text: str) -> str:
    """An application entity title.

    Raises:
        SettingsError: it is none.
    """
    if not _AET.fullmatch(text):
        raise SettingsError(f"an AE title has 1 to 16 plain characters without backslash; got {text!r}")
    return text.strip()


def is_loopback_address(address: str) -> bool:
    """Whether a caller is on this machine."""
    try:
        return ipaddress.ip_address(_plain(address)).is_loopback
    except ValueError:
        return False


def _plain(address: str) -> str:
    """Without a scope, and an IPv4 address in IPv6's clothes as itself."""
    try:
        parsed = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Certificates in PEM files.

    Attributes:
        certificate, key: this node's own.
        authority: signs the other nodes'; with it a caller must show a certificate.
    """

    certificate: Path
    key: Path
    authority: Path | None = None

    def server_context(self) -> ssl.SSLContext:
        """For calls from others: TLS 1.2 or newer (PS3.15, B.12: BCP 195).

        Raises:
            SettingsError: a file cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context)
        if self.authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """For calls to others, whose certificate and host name are checked.

        Raises:
            SettingsError: a file cannot be used.
        """
        context = ssl.create_default_context()
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.authority is not None:
                context.load_verify_locations(self.authority)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (self.certificate, self.key, self.authority) if path is not None)
            raise SettingsError(f"the TLS files cannot be used ({files}): {error.strerror or error}") from error
