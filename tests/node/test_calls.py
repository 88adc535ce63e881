"""Calls to other nodes say why they do not come about; those of others do not keep one another waiting."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from streamer.node.calls import NoCallError, call
from streamer.node.peers import Peer
from streamer.node.serve import Node
from tests.node.certificates import certificates
from tests.node.conftest import StartNode
from tests.node.pacs import wait_until

StartPeer = Callable[..., Peer]

_LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed <(ssl|socket):ResourceWarning")
"""pynetdicom's, of calls that fail."""


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    """Start a node named PACS that answers C-ECHO of STREAMER; ends with the test."""
    with ExitStack() as stack:

        def start(*, takes: str = Verification, knows: str = "STREAMER", calls: int = 10) -> Peer:
            other = AE("PACS")
            other.add_supported_context(takes)
            other.require_called_aet, other.require_calling_aet = True, [knows]
            other.maximum_associations = calls
            server = other.start_server(("127.0.0.1", 0), block=False)
            assert server is not None
            stack.callback(other.shutdown)
            return Peer(aet="PACS", host="127.0.0.1", port=int(server.server_address[1]))

        yield start


def _caller(aet: str = "STREAMER") -> AE:
    node = AE(aet)
    node.add_requested_context(Verification)
    return node


def _refused(peer: Peer, tls: ssl.SSLContext | None = None) -> str:
    with pytest.raises(NoCallError) as refused:
        call(_caller(), peer, tls=tls)
    return str(refused.value)


def test_a_rejection_says_which_of_the_two_titles_is_wrong(start_peer: StartPeer) -> None:
    peer = start_peer(knows="ANOTHER")
    assert _refused(peer) == f"{peer} refuses the call: it does not know the AE title STREAMER"
    other = Peer(aet="ARCHIVE", host=peer.host, port=start_peer().port)
    assert _refused(other) == f"{other} refuses the call: it has another AE title"


def test_a_busy_node_is_named_as_such(start_peer: StartPeer) -> None:
    peer = start_peer(calls=1)
    first = call(_caller(), peer)
    assert _refused(peer).endswith("refuses the call: it is busy")
    first.release()


def test_a_node_that_takes_nothing_of_the_kind_answers_all_the_same(start_peer: StartPeer) -> None:
    assert _refused(start_peer(takes="1.2.840.10008.5.1.4.1.1.2")).endswith(
        "accepts none of the services and transfer syntaxes that are asked for"
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b"])
def test_a_name_without_an_address_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host == "nowhere.invalid":  # not asked of the network
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "no address is known for this host name" in _refused(Peer(aet="PACS", host=host, port=104))


@_LEFT_OPEN
def test_a_certificate_that_is_not_trusted_is_said_to_both_sides(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "streamer")
    node = start_node(tls=certificates(tmp_path), quiet_s=10_000)
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port, tls=True)
    said = _refused(peer, ssl.create_default_context())
    assert "cannot be called by TLS: its certificate is not trusted (self-signed certificate)" in said
    wait_until(lambda: "a call from 127.0.0.1 is refused: TLS fails: " in caplog.text, "the line in the log")


@_LEFT_OPEN
def test_a_caller_who_is_silent_before_tls_keeps_nobody_waiting(start_node: StartNode, tmp_path: Path) -> None:
    files = certificates(tmp_path)
    node = start_node(tls=files, quiet_s=10_000)
    with socket.create_connection(("127.0.0.1", node.port)):
        caller = _caller("SCANNER")
        caller.connection_timeout = 5  # less than the node's patience with the silent one
        peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port, tls=True)
        call(caller, peer, tls=files.client_context()).release()


def test_the_log_says_who_was_refused_and_why(start_node: StartNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "streamer")
    node = start_node(allowed="SCANNER@127.0.0.1")
    for caller, called in (("STRANGER", "STREAMER"), ("SCANNER", "ANOTHER")):
        with pytest.raises(NoCallError):
            call(_caller(caller), Peer(aet=called, host="127.0.0.1", port=node.port))
    wait_until(lambda: len(caplog.messages) >= 2, "the lines")
    assert "a call from 'STRANGER' at 127.0.0.1 is refused: both must be on the list (--from)" in caplog.messages
    assert (
        "a call from 'SCANNER' at 127.0.0.1 is refused: it calls 'ANOTHER', and this node is 'STREAMER' (--aet)"
        in caplog.messages
    )


def test_the_log_says_that_the_line_is_busy(start_node: StartNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "streamer")
    node: Node = start_node()
    node._receiver._node.maximum_associations = 1
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port)
    first = call(_caller(), peer)
    with pytest.raises(NoCallError, match="busy"):
        call(_caller(), peer)
    first.release()
    wait_until(lambda: "too many calls at a time (--max-associations)" in caplog.text, "the line")
