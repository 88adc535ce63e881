"""One PACS for all tests of a module, and a node beside it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streamer.dicom.library import require_node
from streamer.node.peers import Peer
from streamer.node.receive import ReceiverSettings
from streamer.node.serve import Node, NodeSettings
from tests.node.in_process import DiscJobs
from tests.node.pacs import Orthanc, running_orthanc

StartNode = Callable[..., Node]

require_node("these tests")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """The PACS; skips where it cannot be had.

    It ends with the module: this thread is in a network of its own as long, where tests of other folders, which may
    come between two modules of this one, would find no app.
    """
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as pacs:
        yield pacs


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    """Start a node that finds the disc; ends with the test."""
    with ExitStack() as stack:

        def start(*destinations: str, quiet_s: float = 0.5, port: int = 0, allowed: str = "", **more: object) -> Node:
            receiver = ReceiverSettings(
                aet="STREAMER", port=port, allowed=(Peer.parse(allowed),) if allowed else (), timeout_s=10
            )
            settings = NodeSettings(
                receiver=receiver,
                folder=tmp_path / "node",
                destinations=destinations,
                quiet_s=quiet_s,
                **more,  # type: ignore[arg-type]
            )
            return stack.enter_context(Node(settings, DiscJobs()))

        yield start
