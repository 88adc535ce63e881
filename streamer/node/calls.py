"""Calls between nodes: made to others, with the reason where none comes about, and taken from them."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.transport import ThreadedAssociationServer

from streamer.node.peers import Peer

_LOG = logging.getLogger(__name__)
_BY_USER, _BY_PRESENTATION = 1, 3  # sources of a rejection, and their reasons: PS3.8, table 9-21
_UNKNOWN_CALLER, _UNKNOWN_CALLED = 3, 7
_PATIENCE_S = 5.0


class NoCallError(Exception):
    """A call does not come about; the text says of whom and why."""


def call(
    node: AE,
    peer: Peer,
    *,
    tls: ssl.SSLContext | None = None,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Association:
    """Call another node.

    Args:
        node: own title, and what is asked for.
        peer: who is called; its port is known.
        tls: for a peer that is called by TLS.
        roles: of this node, where they are not the usual ones.

    Returns:
        An association that is established.

    Raises:
        NoCallError: it is not.
    """
    assert peer.port is not None
    line = _TlsLine(tls) if peer.tls and tls is not None else None
    try:
        association = node.associate(
            peer.host,
            peer.port,
            ae_title=peer.aet,
            ext_neg=list(roles),
            tls_args=None if line is None else (line, peer.host),  # type: ignore[arg-type]
        )
    except (OSError, UnicodeError) as error:  # a name that cannot be looked up
        raise NoCallError(f"{peer} cannot be called: no address is known for this host name") from error
    if association.is_established:
        return association
    _hang_up(association)
    if line is not None and line.error is not None:
        raise NoCallError(f"{peer} cannot be called by TLS: {tls_reason(line.error)}; see --tls-authority")
    raise NoCallError(f"{peer} {_no_answer(association, node.ae_title)}")


def _hang_up(association: Association) -> None:
    """Close what pynetdicom leaves open of a call that was refused."""
    association.dul.join(_PATIENCE_S)
    left = association.dul.socket
    if left is not None and left.socket is not None and not association.dul.is_alive():
        left.socket.close()


def _no_answer(association: Association, own_aet: str) -> str:
    answer = association.acceptor.primitive
    if association.rejected_contexts:
        return "accepts none of the services and transfer syntaxes that are asked for"
    if not association.is_rejected or answer is None:
        return "does not answer"
    why = (answer.result_source, answer.diagnostic)
    if why == (_BY_USER, _UNKNOWN_CALLER):
        return f"refuses the call: it does not know the AE title {own_aet.strip()}"
    if why == (_BY_USER, _UNKNOWN_CALLED):
        return "refuses the call: it has another AE title"
    return "refuses the call: it is busy" if why[0] == _BY_PRESENTATION else "refuses the call"


class _TlsLine:
    """Stands in for a context, and keeps the error that ends a handshake, of which pynetdicom tells nobody."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.error: OSError | None = None

    def wrap_socket(self, plain: socket.socket, **more: Any) -> ssl.SSLSocket:
        wrapped = self._context.wrap_socket(plain, **more)
        shake_hands = wrapped.do_handshake

        def kept(block: bool = False) -> None:
            try:
                shake_hands(block)
            except OSError as error:
                self.error = error
                raise

        wrapped.do_handshake = kept  # type: ignore[method-assign]
        return wrapped


def tls_reason(error: OSError) -> str:
    """Why a handshake failed, without a word of a certificate but a host's name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
    if isinstance(error, TimeoutError):
        return "it says nothing"
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(reason).lower().replace("_", " ")


def listen(
    node: AE, address: tuple[str, int], handlers: list[evt.EventHandlerType], tls: ssl.SSLContext | None
) -> ThreadedAssociationServer:
    """Take calls in threads of their own, until the node is shut down.

    Raises:
        OSError: the address cannot be listened on.
    """
    server: ThreadedAssociationServer = node.make_server(
        address, ssl_context=tls, evt_handlers=handlers, server_class=_Server
    )
    threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
    node._servers.append(server)  # as `start_server` does, for `shutdown`
    return server


class _Server(ThreadedAssociationServer):
    """Shakes hands in each call's own thread: a caller who is silent then keeps no other one waiting."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, as it comes."""
        assert self.socket is not None
        return self.socket.accept()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin a call, with TLS where callers use it."""
        if self.ssl_context is not None:
            try:
                request.settimeout(self.ae.network_timeout)
                request = self.ssl_context.wrap_socket(request, server_side=True)
                request.settimeout(None)
            except OSError as error:
                _LOG.warning("a call from %s is refused: TLS fails: %s", client_address[0], tls_reason(error))
                request.close()
                return
        super().finish_request(request, client_address)
