"""The node is killed 50 times while a PACS sends to it: nothing acknowledged is lost, nothing is analysed twice."""

import random
import sqlite3
import time
from functools import partial
from pathlib import Path

import pydicom
import pytest

from streamer.node.peers import Peer
from streamer.node.queue import opened
from streamer.node.send import send_to_node
from tests.disc_analyser import disc_cine
from tests.node.killed import Life
from tests.node.pacs import Orthanc, wait_until

_KILLS = 50
_PORT = 11112


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom, where nobody listens
def test_fifty_kills(orthanc: Orthanc, tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged: dict[str, str] = {}
    folder = tmp_path / "node"
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=_PORT)

    def life() -> Life:
        return Life(folder, port=_PORT, caller="SENDER@127.0.0.1", destination=orthanc.destination)

    for number in range(_KILLS):
        source = disc_cine(tmp_path / "cine.dcm")
        taken: set[str | None] = set()
        with life():
            end = time.monotonic() + chance.uniform(0.2, 4.0)  # from before it listens to after all was sent
            while time.monotonic() < end:
                if None not in taken:
                    send_to_node([tmp_path / "cine.dcm"], peer, aet="SENDER", outcome=partial(_note, taken))
                time.sleep(0.02)
        if None in taken:
            acknowledged[str(source.SOPInstanceUID)] = str(source.StudyInstanceUID)
        assert number < 10 or acknowledged, "the node never had the time to take anything"

    with life():
        wait_until(lambda: _all_sent(folder), "what is left", timeout_s=900)

    assert len(acknowledged) > _KILLS // 4
    base = sqlite3.connect(folder / "queue.sqlite")
    jobs = dict(base.execute("SELECT sop_uid, job FROM instances"))
    base.close()
    assert acknowledged.keys() <= jobs.keys()
    assert len(set(jobs.values())) == len(jobs)  # each in a job of its own, as each is a study of its own
    reports: dict[str, int] = {}
    for study in orthanc.get("/studies"):
        described = orthanc.get(f"/studies/{study}")
        uid = described["MainDicomTags"]["StudyInstanceUID"]
        for series in described["Series"]:
            told = orthanc.get(f"/series/{series}")
            if told["MainDicomTags"]["Modality"] == "SR":
                reports[uid] = reports.get(uid, 0) + len(told["Instances"])
    studies = set(acknowledged.values())
    assert {uid: reports.get(uid) for uid in studies} == dict.fromkeys(studies, 1)
    for path in (folder / "instances").iterdir():
        assert len(pydicom.dcmread(path).PixelData) > 1000


def _note(taken: set[str | None], _: Path, reason: str | None) -> None:
    taken.add(reason)


def _all_sent(folder: Path) -> bool:
    with opened(folder) as queue:
        status = queue.status()
    return status.unsent == 0 and status.arriving == 0 and set(status.jobs) <= {"done"} and bool(status.jobs)
