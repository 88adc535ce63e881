"""A node that is killed again and again: a parent that has imported everything forks one for each life."""

import multiprocessing
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.dicom.library import require_node
from streamer.node.peers import Peer
from streamer.node.receive import ReceiverSettings
from streamer.node.serve import Node, NodeSettings
from tests.node.in_process import DiscJobs


def _live(folder: Path, port: int, caller: str, destination: str) -> None:
    require_node("this test")
    receiver = ReceiverSettings(aet="STREAMER", port=port, allowed=(Peer.parse(caller),), timeout_s=10)
    settings = NodeSettings(receiver=receiver, folder=folder, destinations=(destination,), quiet_s=0.3)
    with Node(settings, DiscJobs()):
        signal.pause()


class Life:
    """One life of the node, from `with` until it is killed at the end of the block, or before by `kill`."""

    _fork = multiprocessing.get_context("forkserver")

    def __init__(self, folder: Path, *, port: int, caller: str, destination: str) -> None:
        self._fork.set_forkserver_preload(["tests.node.killed"])
        self._process = self._fork.Process(target=_live, args=(folder, port, caller, destination), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is closed."""
        self._process.kill()
        self._process.join()
