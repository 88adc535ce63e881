"""The node on its own machine: who may call, what is taken, what becomes of it; dcmtk as the other side."""

import gc
import logging
import os
import resource
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from streamer.dicom.syntaxes import SYNTAXES
from streamer.errors import SettingsError
from streamer.node.peers import Peer, TlsFiles
from streamer.node.receive import CANNOT_UNDERSTAND, NO_MATCH, SUCCESS
from streamer.node.send import send_to_node
from streamer.node.serve import Node
from tests.dicom_files import PREFIX, cine_dataset, frame_images, write_dicom
from tests.disc_analyser import disc_cine
from tests.node.certificates import certificates
from tests.node.conftest import StartNode
from tests.node.pacs import wait_until

_JPEG = PREFIX + "4.50"


def _call(node: Node, *, aet: str = "SCANNER", called: str = "STREAMER", **more: Any) -> Association:
    caller = AE(aet)
    caller.add_requested_context(Verification)
    caller.add_requested_context(StorageCommitmentPushModel)
    caller.add_requested_context("1.2.840.10008.5.1.4.1.1.3.1", _JPEG)
    caller.add_requested_context("1.2.840.10008.5.1.4.1.1.3.1", [ExplicitVRLittleEndian])
    caller.add_requested_context("1.2.840.10008.5.1.4.1.1.7", [ExplicitVRLittleEndian])
    return caller.associate("127.0.0.1", node.port, ae_title=called, **more)


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[Dataset]]]:
    """A PACS that takes everything in implicit little endian alone, its port and what it took."""
    taken: list[Dataset] = []

    def take(event: evt.Event) -> int:
        data = event.dataset
        data.file_meta = event.file_meta
        taken.append(data)
        return 0

    other = AE("CATCHER")
    for uid in ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.59"):
        other.add_supported_context(uid, [ImplicitVRLittleEndian])
    server = other.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    assert server is not None
    yield int(server.server_address[1]), taken
    other.shutdown()


def test_who_may_call(start_node: StartNode) -> None:
    node = start_node(allowed="SCANNER@127.0.0.1")
    welcome = _call(node)
    assert welcome.send_c_echo().Status == SUCCESS
    welcome.release()
    assert _call(node, aet="STRANGER").is_rejected
    assert _call(node, called="ANOTHER").is_rejected


def test_no_more_calls_than_allowed_at_a_time(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start_node()
    node._receiver._node.maximum_associations = 1
    first = _call(node)
    assert first.is_established
    assert _call(node).is_rejected
    first.release()
    wait_until(lambda: _call(node).is_established, "the line to be free")


def test_all_syntaxes_that_are_read_are_taken(start_node: StartNode) -> None:
    node = start_node()
    caller = AE("SCANNER")
    for syntax in SYNTAXES:
        caller.add_requested_context("1.2.840.10008.5.1.4.1.1.3.1", [syntax])
    association = caller.associate("127.0.0.1", node.port, ae_title="STREAMER")
    assert len(association.accepted_contexts) == len(SYNTAXES)
    association.release()


def test_what_arrives_is_analysed_and_what_is_taken_is_confirmed_by_itself(
    start_node: StartNode, caught: tuple[int, list[Dataset]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The receiver takes neither segmentations nor video: these wait, the others arrive, in its transfer syntax."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "streamer")
    source = disc_cine(tmp_path / "cine.dcm")
    node = start_node(f"CATCHER@127.0.0.1:{caught[0]}")
    send_to_node(
        [tmp_path / "cine.dcm"], Peer(aet="STREAMER", host="127.0.0.1", port=node.port), aet="SCANNER",
        outcome=lambda _, reason: _taken(reason),
    )  # fmt: skip
    wait_until(lambda: "3 results to" in "".join(node.queue.status().failures), "what is not taken")
    assert sorted(one.Modality for one in caught[1]) == ["KO", "SR", "US"]
    assert {one.StudyInstanceUID for one in caught[1]} == {source.StudyInstanceUID}
    assert all("transfer syntax" in failure for failure in node.queue.status().failures)
    said = caplog.text + "".join(node.queue.status().failures)
    assert "SECRET" not in said
    assert "19700101" not in said


def _taken(reason: str | None) -> None:
    assert reason is None


def test_what_is_no_ultrasound_is_refused_and_results_of_our_own_are_not_analysed(
    start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node(quiet_s=0)
    data = cine_dataset(1)
    data.SOPClassUID, data.Modality = "1.2.840.10008.5.1.4.1.1.7", "CT"
    pixels = frame_images(1)[0].tobytes()
    cases = {}
    cases["ct"] = write_dicom(tmp_path / "ct.dcm", data, pixels)
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "US", "streamer", "streamer"
    cases["own"] = write_dicom(tmp_path / "own.dcm", data, pixels)
    del data.StudyInstanceUID, data.Manufacturer
    cases["unfiled"] = write_dicom(tmp_path / "unfiled.dcm", data, pixels)
    association = _call(node)
    said = {name: association.send_c_store(pydicom.dcmread(path)).Status for name, path in cases.items()}
    data.StudyInstanceUID = generate_uid()
    empty = pydicom.dcmread(write_dicom(tmp_path / "empty.dcm", data, pixels))
    del empty.PixelData
    said["empty"] = association.send_c_store(empty).Status
    association.release()
    assert said == {"ct": NO_MATCH, "own": SUCCESS, "unfiled": NO_MATCH, "empty": CANNOT_UNDERSTAND}
    assert node.queue.status().arriving == 0
    assert node.queue.status().jobs == {}
    assert list(node.queue.incoming.iterdir()) == []


def test_one_broken_cine_does_not_keep_the_others_of_its_study(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(quiet_s=1)
    source = disc_cine(tmp_path / "cine.dcm")
    broken = cine_dataset(4)
    broken.StudyInstanceUID = source.StudyInstanceUID
    broken.PhotometricInterpretation = "YBR_FULL_422"
    write_dicom(tmp_path / "broken.dcm", broken, [b"no jpeg at all!!"] * 4, syntax=_JPEG)
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port)
    files = [tmp_path / "cine.dcm", tmp_path / "broken.dcm"]
    send_to_node(files, peer, aet="SCANNER", outcome=lambda _, reason: _taken(reason))
    wait_until(lambda: node.queue.status().jobs == {"done": 1}, "the analysis")
    (failure,) = node.queue.status().failures
    assert "no frame that can be decoded" in failure
    assert len(list((tmp_path / "node" / "results").rglob("dicom-report-*.dcm"))) == 1


def test_a_commitment_is_answered_in_the_same_call_where_the_port_is_not_known(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "streamer")
    node = start_node(quiet_s=10_000)
    source = disc_cine(tmp_path / "cine.dcm")
    reports: list[Dataset] = []

    def told(event: evt.Event) -> tuple[int, None]:
        reports.append(event.event_information)
        return 0, None

    association = _call(node, evt_handlers=[(evt.EVT_N_EVENT_REPORT, told)])
    association.send_c_store(pydicom.dcmread(tmp_path / "cine.dcm"))
    asked, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    asked.TransactionUID, asked.ReferencedSOPSequence = generate_uid(), [item]
    status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    assert status.Status == SUCCESS
    # The caller's confirmation is sent after its handler returns: a release before it would break the call.
    wait_until(lambda: "storage commitment: 1 kept, 0 missing" in caplog.messages, "the node's word that it was heard")
    association.release()
    assert reports[0].TransactionUID == asked.TransactionUID
    assert reports[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "FailedSOPSequence" not in reports[0]


def test_a_second_start_goes_on_where_the_first_was_stopped(start_node: StartNode, tmp_path: Path) -> None:
    first = start_node(quiet_s=10_000)
    disc_cine(tmp_path / "cine.dcm")
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=first.port)
    send_to_node([tmp_path / "cine.dcm"], peer, aet="SCANNER", outcome=lambda _, reason: _taken(reason))
    first.__exit__(None, None, None)
    second = start_node(quiet_s=0)
    wait_until(lambda: second.queue.status().jobs == {"done": 1}, "the analysis")


def test_an_error_that_may_pass_is_tried_again_and_does_not_end_the_node(
    start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the first result is to be noted."""
    monkeypatch.setattr("streamer.node.queue.wait_s", lambda _: 0.0)
    node = start_node(quiet_s=0)
    finish, failures = node.queue.finish, iter([OSError("SECRET")])

    def full_once(*arguments: Any, **more: Any) -> None:
        for error in failures:
            raise error
        finish(*arguments, **more)

    monkeypatch.setattr(node.queue, "finish", full_once)
    disc_cine(tmp_path / "cine.dcm")
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port)
    send_to_node([tmp_path / "cine.dcm"], peer, aet="SCANNER", outcome=lambda _, reason: _taken(reason))
    wait_until(lambda: node.queue.status().jobs == {"done": 1}, "the second attempt")
    assert "SECRET" not in "".join(node.queue.status().failures)


def test_an_object_that_the_disk_does_not_hold_is_refused_and_leaves_nothing(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = bytes(64 * 256 * 256)
    write_dicom(tmp_path / "cine.dcm", cine_dataset(64, rows=256, columns=256, samples=1), pixels)
    node = start_node(quiet_s=10_000)
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port)
    said: list[str | None] = []
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, unlimited[1]))  # no file larger than 1 MiB can be written
        send_to_node([tmp_path / "cine.dcm"], peer, aet="SCANNER", outcome=lambda _, reason: said.append(reason))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert said == ["the receiver answers with status A700"]
    assert list(node.queue.incoming.iterdir()) == []
    assert "cannot be kept: File too large" in caplog.text
    send_to_node([tmp_path / "cine.dcm"], peer, aet="SCANNER", outcome=lambda _, reason: said.append(reason))
    assert said[1:] == [None]
    assert node.queue.status().arriving == 1


def test_dcmtk_sends_a_cine(start_node: StartNode, tmp_path: Path) -> None:
    # pynetdicom puts programs of the same names into an environment's folder, which may come first.
    places = [place for place in os.environ["PATH"].split(os.pathsep) if not Path(place, "activate").exists()]
    echoscu, storescu = (shutil.which(name, path=os.pathsep.join(places)) for name in ("echoscu", "storescu"))
    if echoscu is None or storescu is None:
        pytest.skip("storescu is not installed (Debian: dcmtk)")
    node = start_node(quiet_s=0)
    disc_cine(tmp_path / "cine.dcm")
    where = ["-aec", "STREAMER", "127.0.0.1", str(node.port)]
    subprocess.run([echoscu, *where], check=True, capture_output=True)
    subprocess.run([storescu, "-xy", *where, str(tmp_path / "cine.dcm")], check=True, capture_output=True)
    wait_until(lambda: node.queue.status().jobs == {"done": 1}, "the analysis")


@pytest.mark.filterwarnings("ignore:unclosed <(ssl|socket):ResourceWarning")  # pynetdicom, of calls that fail
def test_tls_with_certificates_both_ways(start_node: StartNode, tmp_path: Path) -> None:
    files = certificates(tmp_path)
    node = start_node(tls=files, quiet_s=10_000)
    context = files.client_context()
    disc_cine(tmp_path / "cine.dcm")
    outcomes: list[str | None] = []
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port, tls=True)
    send_to_node([tmp_path / "cine.dcm"], peer, aet="S", outcome=lambda _, why: outcomes.append(why), tls=context)
    assert outcomes == [None]
    assert not _call(node).is_established  # in the clear
    stranger = ssl.create_default_context(cafile=str(files.authority))  # shows no certificate
    assert not _call(node, tls_args=(stranger, "127.0.0.1")).is_established
    gc.collect()


def test_tls_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(SettingsError, match=r"none\.pem"):
        TlsFiles(certificate=tmp_path / "none.pem", key=tmp_path / "none.pem").server_context()
