"""Sending by C-STORE: a file is read as it goes out, and what a receiver does not understand is coded anew."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from streamer.dicom.identity import save
from streamer.node import send
from streamer.node.peers import Peer
from streamer.node.send import send_to_node
from tests.dicom_files import cine_dataset, write_dicom

_CLASS = "1.2.840.10008.5.1.4.1.1.3.1"

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
"""pynetdicom's own, in the thread of a receiver that hangs up."""

StartPeer = Callable[..., Peer]


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    """Start a node that takes a cine uncompressed, with handlers; ends with the test."""
    with ExitStack() as stack:

        def start(*handlers: evt.EventHandlerType) -> Peer:
            other = AE("CATCHER")
            other.add_supported_context(_CLASS, [ExplicitVRLittleEndian])
            server = other.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
            assert server is not None
            stack.callback(other.shutdown)
            return Peer(aet="CATCHER", host="127.0.0.1", port=int(server.server_address[1]))

        yield start


def _cine(path: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 256, 256), np.uint8).tobytes()
    write_dicom(path, cine_dataset(64, rows=256, columns=256, samples=1), pixels)
    return pixels


def _sent(path: Path, peer: Peer) -> str | None:
    said: list[str | None] = []
    send_to_node([path], peer, aet="STREAMER", outcome=lambda _, reason: said.append(reason))
    (reason,) = said
    return reason


def test_a_file_is_read_no_faster_than_it_goes_out(
    start_peer: StartPeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = [0]
    put = send._BoundedPdus.put

    def watched(self: send._BoundedPdus, item: object, block: bool = True, timeout: float | None = None) -> None:
        put(self, item, block, timeout)
        longest[0] = max(longest[0], len(self.queue))

    monkeypatch.setattr(send, "_MAX_QUEUED_PDUS", 5)
    monkeypatch.setattr(send._BoundedPdus, "put", watched)
    taken: list[bytes] = []

    def take(event: evt.Event) -> int:
        taken.append(event.dataset.PixelData)
        return 0

    pixels = _cine(tmp_path / "cine.dcm")
    assert _sent(tmp_path / "cine.dcm", start_peer((evt.EVT_C_STORE, take))) is None
    assert taken == [pixels]
    assert 1 <= longest[0] <= 5


def test_a_file_that_may_not_go_stays_here_and_the_next_goes(start_peer: StartPeer, tmp_path: Path) -> None:
    said: dict[str, str | None] = {}
    taken: list[str] = []

    def take(event: evt.Event) -> int:
        taken.append(event.dataset.SOPInstanceUID)
        return 0

    files = [tmp_path / "kept.dcm", tmp_path / "sent.dcm"]
    for path in files:
        data = cine_dataset(2, samples=1)
        data.SOPInstanceUID = generate_uid()
        write_dicom(path, data, bytes(2 * data.Rows * data.Columns))
    send_to_node(
        files, start_peer((evt.EVT_C_STORE, take)), aet="STREAMER",
        outcome=lambda path, reason: said.update({path.name: reason}),
        may_go=lambda path: "not noted" if path.name == "kept.dcm" else None,
    )  # fmt: skip
    assert said == {"kept.dcm": "not noted", "sent.dcm": None}
    assert taken == [pydicom.dcmread(files[1]).SOPInstanceUID]


def test_a_receiver_that_hangs_up_on_the_way_is_noticed(start_peer: StartPeer, tmp_path: Path) -> None:
    _cine(tmp_path / "cine.dcm")

    def hang_up(event: evt.Event) -> None:
        event.assoc.abort()

    peer = start_peer((evt.EVT_DIMSE_RECV, hang_up))
    assert _sent(tmp_path / "cine.dcm", peer) == "the association broke off"


def test_a_deflated_file_is_inflated_for_a_receiver_that_does_not_take_it(
    start_peer: StartPeer, tmp_path: Path
) -> None:
    pixels = _cine(tmp_path / "cine.dcm")
    save(pydicom.dcmread(tmp_path / "cine.dcm"), tmp_path / "deflated.dcm", DeflatedExplicitVRLittleEndian)
    taken: list[pydicom.Dataset] = []

    def take(event: evt.Event) -> int:
        taken.append(event.dataset)
        return 0

    assert _sent(tmp_path / "deflated.dcm", start_peer((evt.EVT_C_STORE, take))) is None
    assert taken == [pydicom.dcmread(tmp_path / "cine.dcm")]
    assert taken[0].PixelData == pixels
