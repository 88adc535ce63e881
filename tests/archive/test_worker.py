"""The real worker and the tables against a plain run over the same clips."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pydicom.uid import CTImageStorage

from streamer.archive.clips import ClipResult, ClipTask, Failure
from streamer.archive.command import analyse_archive
from streamer.archive.grouping import PathPattern, pseudonym
from streamer.archive.index import Wanted
from streamer.archive.keys import analysis_id, content_digest
from streamer.archive.listing import list_clips
from streamer.archive.report import write_report
from streamer.archive.worker import ClipWorker, WorkerSettings
from streamer.dicom.classes import PRODUCT
from streamer.errors import WeightsError
from streamer.phantom import write_clip
from streamer.phantom.cine import PhantomFrame
from streamer.run import run_study
from streamer.settings import Settings
from streamer.testing import FakeAnalyser, fake_finding
from streamer.types import Finding
from tests.archive.conftest import Archive
from tests.dicom_files import cine_dataset, frame_images, write_dicom
from tests.fakes import grey_image


def _analyser(settings: Settings, level: float = 0.6) -> FakeAnalyser:
    def findings(index: int) -> tuple[Finding, ...]:
        return (fake_finding(malignancy=level + index / 100),) if index < 9 else ()

    return FakeAnalyser(findings, settings=settings)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps") / "P1"
    folder.mkdir()
    for number, frames in enumerate((8, 12)):
        pictures = [PhantomFrame(image=grey_image(50 + number + level), masks={}) for level in range(frames)]
        write_clip(folder / f"{number}.mp4", pictures)
    (folder / "cut.mp4").write_bytes((folder / "0.mp4").read_bytes()[:400])
    return folder


@pytest.fixture
def given(tmp_path: Path) -> WorkerSettings:
    settings = Settings()
    return WorkerSettings(settings=settings, analysis=analysis_id(settings), output=str(tmp_path / "out"))


def _worker(given: WorkerSettings) -> ClipWorker:
    return ClipWorker(given, _analyser(given.settings.model_copy(update={"outputs": given.outputs})))


def test_a_patient_is_summed_up_as_by_one_run_over_all_clips(archive: Archive, sweeps: Path, tmp_path: Path) -> None:
    options = replace(
        archive.options,
        inputs=[str(sweeps.parent)],
        pattern=PathPattern("{patient}/*"),
        wanted=Wanted(frames=True),
    )
    counts = analyse_archive(options, make_worker=_worker)
    assert (counts.finished, counts.failures, counts.frames) == (3, {"input": 1}, 20)
    clips = [sweeps / "0.mp4", sweeps / "1.mp4"]
    report = run_study(clips, tmp_path / "run", analyser=_analyser(options.settings))
    (patient,) = archive.rows("patients")
    assert (patient["decision"], patient["malignancy"]) == (report.decision, round(report.patient_malignancy or 0, 4))
    assert (patient["clips"], patient["failed_clips"], patient["frames"], patient["complete"]) == (3, 1, 20, False)
    nodules = archive.rows("nodules")
    told = [(one.malignancy_max, one.supporting_frames, one.qualifies, one.malignant) for one in report.tracks]
    assert sorted(
        (row["malignancy_max"], row["supporting_frames"], row["qualifies"], row["malignant"]) for row in nodules
    ) == sorted((round(one[0], 4), *one[1:]) for one in told)
    assert len(archive.rows("frames")) == 20
    page = Path(write_report(str(archive.output))).read_text()
    assert "cannot be" in page or "damaged" in page
    assert page.count("data:image/jpeg;base64,") == 2


def test_folders_hold_the_results_of_a_run(archive: Archive, sweeps: Path) -> None:
    options = replace(
        archive.options,
        inputs=[str(sweeps / "0.mp4")],
        outputs=("report_json", "frames"),
        wanted=Wanted(folders=True),
    )
    analyse_archive(options, make_worker=_worker)
    row = archive.clip("0.mp4")
    names = {path.name for path in (archive.output / row["folder"]).iterdir()}
    assert names == {"report.json", "frames.jsonl"}


def test_nothing_is_left_behind(
    given: WorkerSettings, sweeps: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    worker, clip = _worker(given), str(sweeps / "0.mp4")
    task = ClipTask(uri=clip, files=(clip,))
    assert isinstance(worker.fetch(task), str)
    assert isinstance(worker.analyse(task, "key", ""), ClipResult)
    assert list(temporary.iterdir()) == []


def test_a_clip_elsewhere_is_copied_and_let_go(given: WorkerSettings, sweeps: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/far/a.mp4", (sweeps / "0.mp4").read_bytes())
    task = ClipTask(uri="memory:///far/a.mp4", files=("memory:///far/a.mp4",))
    worker = _worker(given)
    assert worker.fetch(task) == _worker(given).fetch(replace(task, files=(str(sweeps / "0.mp4"),), uri=str(sweeps)))
    found = worker.analyse(task, "key", "z")
    assert isinstance(found, ClipResult)
    assert found.clip["frames"] == 8
    assert found.picture is not None


@pytest.mark.parametrize(
    ("raised", "kind"), [(ValueError("the name of a patient"), "internal"), (MemoryError(), "internal")]
)
def test_a_fault_is_told_without_its_words(
    given: WorkerSettings, sweeps: Path, raised: Exception, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> Any:
        raise raised

    worker = ClipWorker(given, FakeAnalyser(fail, settings=given.settings.model_copy(update={"outputs": ()})))
    task = ClipTask(uri=str(sweeps / "0.mp4"), files=(str(sweeps / "0.mp4"),))
    worker.fetch(task)
    found = worker.analyse(task, "key", "")
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert "patient" not in found.reason + caplog.text


def test_a_missing_file_is_a_failed_fetch(given: WorkerSettings, tmp_path: Path) -> None:
    found = _worker(given).fetch(ClipTask(uri=str(tmp_path / "x.mp4"), files=(str(tmp_path / "x.mp4"),)))
    assert isinstance(found, Failure)
    assert found.kind == "fetch"


def test_a_worker_with_other_weights_refuses(given: WorkerSettings) -> None:
    with pytest.raises(WeightsError, match="other weights"):
        ClipWorker(replace(given, analysis="other"))


def test_dicom_says_whose_it_is_and_what_is_no_clip(given: WorkerSettings, tmp_path: Path) -> None:
    data, kinds = cine_dataset(), []
    images = np.stack(frame_images())
    for name, changes in (
        ("a", {}),
        ("ct", {"SOPClassUID": CTImageStorage, "Modality": "CT"}),
        ("ours", {"Manufacturer": PRODUCT, "ManufacturerModelName": PRODUCT}),
    ):
        changed = copy.deepcopy(data)
        for keyword, value in changes.items():
            setattr(changed, keyword, value)
        path = str(write_dicom(tmp_path / name, changed, images.tobytes()))
        worker = _worker(replace(given, secret=b"secret"))
        worker.fetch(ClipTask(uri=path, files=(path,)))
        found = worker.analyse(ClipTask(uri=path, files=(path,)), "key", "")
        kinds.append("result" if isinstance(found, ClipResult) else found.kind)
        if isinstance(found, ClipResult):
            assert found.patient == pseudonym("SECRET-ID", b"secret")
            assert found.study == pseudonym(data.StudyInstanceUID, b"secret")
            assert "SECRET" not in str(found)
    assert kinds == ["result", "skipped", "skipped"]


def test_stills_are_analysed_without_what_lies_beside_them(given: WorkerSettings, tmp_path: Path) -> None:
    """As they are listed: a DICOM file beside or below them is a clip by itself."""
    folder = tmp_path / "P 1"
    (folder / "below").mkdir(parents=True)
    for name in ("a.dcm", "below/b.dcm"):
        write_dicom(folder / name, cine_dataset(4), b"".join(image.tobytes() for image in frame_images(4)))
    for number in range(3):
        PillowImage.fromarray(grey_image()).save(folder / f"{number}.png")
    (task,) = (one for one in list_clips(str(folder)) if isinstance(one, ClipTask) and len(one.files) > 1)
    worker = _worker(given)
    digest = worker.fetch(task)
    found = worker.analyse(task, "key", "")
    assert isinstance(found, ClipResult)
    assert found.clip["frames"] == 3
    assert digest == content_digest([folder / f"{number}.png" for number in range(3)])
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "1.png", "2.png", "a.dcm", "below"]
