"""The round trip with a real PACS: a cine in, its results back in the same study, and fetching."""

from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from streamer.dicom.identity import RunIdentity
from streamer.errors import InputError
from streamer.node.peers import Peer
from streamer.node.pull import Archive, DimseArchive, WebArchive, pull
from streamer.node.receive import ReceiverSettings
from streamer.node.send import send_to_web
from streamer.node.web import client, fetch
from tests.dicom_files import PREFIX, frame_images, jpeg, write_dicom
from tests.disc_analyser import SIZE, disc_cine
from tests.node.conftest import StartNode
from tests.node.pacs import Orthanc, wait_until

_RESULTS = {
    "1.2.840.10008.5.1.4.1.1.88.34": "report",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.7": "key image",
    "1.2.840.10008.5.1.4.1.1.88.59": "selection",
    "1.2.840.10008.5.1.4.1.1.11.2": "presentation state",
    "1.2.840.10008.5.1.4.1.1.7.4": "overlay clip",
}


def test_a_cine_from_the_pacs_comes_back_as_results_in_its_study(
    orthanc: Orthanc, start_node: StartNode, tmp_path: Path
) -> None:
    source = disc_cine(tmp_path / "cine.dcm")
    study = orthanc.upload(tmp_path / "cine.dcm")
    node = start_node(orthanc.destination, port=11112, allowed=orthanc.destination)
    assert orthanc.web.post("/modalities/STREAMER/echo").status_code == 200
    stored = orthanc.web.post("/modalities/STREAMER/store", content=study)
    assert stored.json()["FailedInstancesCount"] == 0
    wait_until(lambda: len(orthanc.get(f"/studies/{study}/instances")) == 7, "the results")

    objects = [one["ID"] for one in orthanc.get(f"/studies/{study}/instances")]
    tags = [orthanc.get(f"/instances/{identifier}/simplified-tags") for identifier in objects]
    kinds = {_RESULTS.get(one["SOPClassUID"], "source"): one for one in tags}
    assert set(kinds) == {*_RESULTS.values(), "source"}

    report = kinds["report"]
    path = (
        f"/studies/{source.StudyInstanceUID}/series/{report['SeriesInstanceUID']}/instances/{report['SOPInstanceUID']}"
    )
    with client(orthanc.dicomweb) as web:
        fetch(web, path, tmp_path / "report.dcm")
    read = hd.sr.srread(tmp_path / "report.dcm")
    assert "Probability of cancer" in read.to_json()
    wait_until(lambda: node.queue.status().unsent == 0, "the confirmations")

    # All of the study again, the results included: nothing is analysed twice.
    again = orthanc.web.post("/modalities/STREAMER/store", json={"Resources": [study]})
    assert again.json()["InstancesCount"] == 7
    assert again.json()["FailedInstancesCount"] == 0
    assert node.queue.claim() is None
    assert node.queue.status().jobs == {"done": 1}


def test_the_pacs_gets_its_commitment(orthanc: Orthanc, start_node: StartNode, tmp_path: Path) -> None:
    source = disc_cine(tmp_path / "cine.dcm")
    study = orthanc.upload(tmp_path / "cine.dcm")
    node = start_node(port=11112, allowed=orthanc.destination, quiet_s=10_000)
    orthanc.web.post("/modalities/STREAMER/store", content=study)
    kept = [source.SOPClassUID, source.SOPInstanceUID]
    asked = orthanc.web.post("/modalities/STREAMER/storage-commitment", json={"DicomInstances": [kept]}).json()
    wait_until(lambda: orthanc.get(asked["Path"])["Status"] != "Pending", "the answer")
    assert orthanc.get(asked["Path"])["Status"] == "Success"
    wait_until(lambda: node.queue.status().jobs == {"done": 1}, "the analysis, without a wait for quiet")

    lost = [source.SOPClassUID, "1.2.3.404"]
    asked = orthanc.web.post("/modalities/STREAMER/storage-commitment", json={"DicomInstances": [kept, lost]}).json()
    wait_until(lambda: orthanc.get(asked["Path"])["Status"] != "Pending", "the answer")
    assert orthanc.get(asked["Path"])["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in orthanc.get(asked["Path"])["Failures"]] == ["1.2.3.404"]


@pytest.mark.parametrize("way", ["web", "dimse"])
def test_a_study_is_fetched_once(orthanc: Orthanc, tmp_path: Path, way: str) -> None:
    source = disc_cine(tmp_path / "cine.dcm", PatientID=f"SECRET-{way}")
    orthanc.upload(tmp_path / "cine.dcm")
    receiver = ReceiverSettings(aet="PULLER", port=11113, allowed=(Peer.parse(orthanc.destination),))
    archive: Archive = (
        WebArchive(orthanc.dicomweb)
        if way == "web"
        else DimseArchive(Peer.parse(orthanc.destination, listens=True), receiver)
    )
    assert archive.studies({"PatientID": f"SECRET-{way}"}) == [source.StudyInstanceUID]
    result = disc_cine(tmp_path / "result.dcm", PatientID=f"SECRET-{way}", StudyInstanceUID=source.StudyInstanceUID)
    result.SeriesInstanceUID = RunIdentity().series_uid(source.StudyInstanceUID, "overlay")
    images = [jpeg(image) for image in frame_images(8, **SIZE)]
    write_dicom(tmp_path / "result.dcm", result, images, syntax=PREFIX + "4.50")
    orthanc.upload(tmp_path / "result.dcm")
    (first,) = pull(archive, [source.StudyInstanceUID], tmp_path / "in")
    assert (first.new, first.before) == (1, 0)
    (file,) = first.folder.iterdir()
    got = pydicom.dcmread(file)
    assert got.SOPInstanceUID == source.SOPInstanceUID
    assert got.PixelData == pydicom.dcmread(tmp_path / "cine.dcm").PixelData
    assert not [path for path in (tmp_path / "in").rglob("*") if "SECRET" in path.name]
    written = file.stat().st_mtime_ns
    (second,) = pull(archive, [source.StudyInstanceUID], tmp_path / "in")
    assert (second.new, second.before) == (0, 1)
    assert file.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="no ultrasound of study"):
        list(pull(archive, ["1.2.3.404"], tmp_path / "in"))


def test_objects_that_the_pacs_sends_to_another_port_are_said_to_be_missing(
    orthanc: Orthanc, start_node: StartNode, tmp_path: Path
) -> None:
    source = disc_cine(tmp_path / "cine.dcm", PatientID="ELSEWHERE")
    orthanc.upload(tmp_path / "cine.dcm")
    start_node(port=11112, quiet_s=10_000)  # where the PACS thinks STREAMER is
    receiver = ReceiverSettings(aet="STREAMER", port=11113, allowed=(Peer.parse(orthanc.destination),))
    archive = DimseArchive(Peer.parse(orthanc.destination, listens=True), receiver)
    with pytest.raises(InputError, match=r"sent 1 objects, but none arrived: enter STREAMER .* port 11113"):
        list(pull(archive, [source.StudyInstanceUID], tmp_path / "in"))


def test_results_go_by_stow_and_a_file_that_is_none_is_not_taken(orthanc: Orthanc, tmp_path: Path) -> None:
    source = disc_cine(tmp_path / "cine.dcm")
    (tmp_path / "none.dcm").write_bytes(b"nothing of the kind")
    outcomes: dict[str, str | None] = {}
    files = [tmp_path / "cine.dcm", tmp_path / "none.dcm"]
    send_to_web(files, orthanc.dicomweb, outcome=lambda path, reason: outcomes.update({path.name: reason}))
    assert outcomes["cine.dcm"] is None
    assert outcomes["none.dcm"] is not None
    assert WebArchive(orthanc.dicomweb).studies({"StudyInstanceUID": source.StudyInstanceUID})


def test_a_server_that_is_none_is_named_in_one_line(orthanc: Orthanc, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="HTTP 404"):
        WebArchive(orthanc.dicomweb + "/nowhere").studies({})
    with pytest.raises(InputError, match="does not answer"):
        WebArchive("http://127.0.0.1:9/dicom-web").studies({})
