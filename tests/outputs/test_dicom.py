"""DICOM results: valid, readable by others, about the right frames, filed in the source's study."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from streamer.dicom.identity import RunIdentity
from streamer.errors import InputError
from streamer.outputs._dicom_nodules import ClipOutlines, NoduleResult
from streamer.outputs._dicom_presentation import _name
from streamer.outputs._dicom_report import with_reader_notes
from streamer.outputs.dicom import write_reader_reports
from streamer.outputs.schema import ReaderEntry
from streamer.pipeline.analyser import FrameFindings
from streamer.run import run_study
from streamer.sources import open_source
from streamer.types import Frame
from tests.dicom_files import PREFIX, frame_images, jpeg, write_dicom
from tests.disc_analyser import SIZE, DiscAnalyser, disc_cine

_SECRETS = (b"SECRET", b"19700101")
_NOT_MULTI_FRAME = b"Shall not be present for Referenced SOP Class that is not multi-frame"


def _results(folder: Path) -> dict[str, Dataset]:
    return {path.stem.removeprefix("dicom-"): pydicom.dcmread(path) for path in sorted(folder.glob("dicom-*.dcm"))}


def _content(report: Dataset) -> hd.sr.MeasurementReport:
    """The content, of which highdicom's annotations know less than it makes."""
    return cast(hd.sr.MeasurementReport, cast(hd.sr.Comprehensive3DSR, report).content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source and results of one run."""
    folder = tmp_path_factory.mktemp("dicom")
    disc_cine(folder / "cine.dcm")
    run_study([folder / "cine.dcm"], folder / "out", analyser=DiscAnalyser())
    return folder


def test_every_kind_of_result_is_there(folder: Path) -> None:
    assert list(_results(folder / "out")) == ["key-1", "overlay-1", "report-1", "seg-1", "selection-1", "state-1"]


@pytest.mark.parametrize("tool", ["dciodvfy", "dcentvfy"])
def test_the_validators_find_no_error(folder: Path, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian: dicom3tools)")
    results = sorted((folder / "out").glob("*.dcm"))
    calls = [[tool, *map(str, results)]] if tool == "dcentvfy" else [[tool, "-new", str(path)] for path in results]
    for call in calls:
        said = subprocess.run(call, capture_output=True, check=False)
        lines = (said.stdout + said.stderr).decode("utf-8", "replace").splitlines()
        assert [line for line in lines if line.startswith("Error")] == []


def test_dcmtk_reads_the_documents(folder: Path) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed (Debian: dcmtk)")
    for name in ("report-1", "selection-1"):
        said = subprocess.run(["dsrdump", str(folder / "out" / f"dicom-{name}.dcm")], capture_output=True, check=True)
        assert b"CONTAINER" in said.stdout
        assert not [line for line in said.stderr.splitlines() if line.startswith((b"E:", b"F:"))]


class _FindsNothing(DiscAnalyser):
    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        return [FrameFindings(frame, (), {"detect": 1.0}) for frame in frames]


def test_a_clip_without_a_nodule_has_a_valid_report_that_says_so(tmp_path: Path) -> None:
    disc_cine(tmp_path / "cine.dcm")
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=_FindsNothing())
    assert list(_results(tmp_path / "out")) == ["overlay-1", "report-1"]
    report = hd.sr.srread(tmp_path / "out" / "dicom-report-1.dcm")
    (group,) = _content(report).get_planar_roi_measurement_groups()
    assert group.roi is not None  # OHIF shows no report with a group that has no region
    assert [(one.name.meaning, one.value) for one in group.get_measurements()] == [("Number of Frames", 0)]
    assert "0 nodules seen long enough to count" in report.to_json()
    if shutil.which("dciodvfy") is not None:
        call = ["dciodvfy", "-new", str(tmp_path / "out" / "dicom-report-1.dcm")]
        said = subprocess.run(call, capture_output=True, check=False)
        assert b"\nError" not in b"\n" + said.stdout + b"\n" + said.stderr


def test_the_report_measures_in_mm_refers_to_the_key_frame_and_claims_nothing(folder: Path) -> None:
    data = pydicom.dcmread(folder / "out" / "dicom-report-1.dcm")
    report = hd.sr.Comprehensive3DSR.from_dataset(data)
    group, patient = _content(report).get_planar_roi_measurement_groups()
    measured: dict[str, Any] = {one.name.meaning: (one.value, one.unit.value) for one in group.get_measurements()}
    assert measured["Long axis"] == (pytest.approx(8.2, abs=0.01), "mm")
    assert measured["Area"] == (pytest.approx(800 * 0.04), "mm2")
    assert measured["Probability of cancer"] == (pytest.approx(80.0), "%")
    assert measured["Number of Frames"] == (8, "{frames}")
    assert group.tracking_identifier == "Nodule 1"
    region = group.roi
    assert region is not None
    source = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert source.ReferencedFrameNumber == 5  # counted from 1; the fifth frame set the maximum
    assert source.ReferencedSOPInstanceUID == pydicom.dcmread(folder / "cine.dcm").SOPInstanceUID
    x, y = np.array(region.value[:, 0]), np.array(region.value[:, 1])
    assert (x.min() - 0.5, x.max() - 0.5) == (10 + 44 - 20, 10 + 44 + 20)  # the view begins at 10, 5
    assert y.mean() - 0.5 == pytest.approx(5 + 50, abs=1)
    assert (data.VerificationFlag, data.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    texts = [str(item.TextValue) for item in data.ContentSequence if item.ValueType == "TEXT"]
    assert any("Research use only" in text for text in texts)
    (highest,) = [one for one in patient.get_measurements() if one.name.meaning == "Probability of cancer"]
    assert patient.tracking_identifier == "Patient"
    assert patient.roi is not None
    assert np.array(patient.roi.value).max(axis=0).tolist() == [163, 121]  # the picture that set the maximum
    assert patient.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 5
    assert highest.derivation is not None
    assert highest.derivation.meaning == "Maximum"
    parameters = data.to_json()
    assert "detector: disc, sha256 " + "ab" * 32 in parameters
    assert "C-TIRADS" not in parameters


def test_the_segmentation_has_the_outline_bit_for_bit_in_every_frame(folder: Path) -> None:
    segmentation = hd.seg.segread(folder / "out" / "dicom-seg-1.dcm")
    masks = segmentation.pixel_array
    assert masks.shape == (8, 121, 163)
    for index, mask in enumerate(masks):
        expected = np.zeros((121, 163), np.uint8)
        contour = np.array(cv2.ellipse2Poly((50 + index, 55), (20, 12), 0, 0, 360, 15), np.int32)
        cv2.drawContours(expected, [contour], -1, 1, cv2.FILLED)
        assert np.array_equal(mask, expected)
        groups = segmentation.PerFrameFunctionalGroupsSequence[index]
        assert groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber == index + 1
    source = segmentation.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    found = segmentation.get_pixels_by_source_frame(source.ReferencedSOPInstanceUID, [3])
    assert np.array_equal(found[0, ..., 0], masks[2])
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence  # OHIF shows none without
    assert [float(one) for one in measures.PixelSpacing] == pytest.approx([0.2, 0.2])


def test_the_presentation_state_draws_each_frame_s_contour(folder: Path) -> None:
    state = _results(folder / "out")["state-1"]
    numbers = [item.ReferencedImageSequence[0].ReferencedFrameNumber for item in state.GraphicAnnotationSequence]
    assert numbers == list(range(1, 9))
    points = np.array(state.GraphicAnnotationSequence[2].GraphicObjectSequence[0].GraphicData).reshape(-1, 2)
    assert tuple(points[0]) == tuple(points[-1])
    assert points[:, 0].max() - 0.5 == 10 + 42 + 20


def test_the_presentation_state_shows_the_whole_picture_to_scale(tmp_path: Path) -> None:
    data = disc_cine(tmp_path / "cine.dcm")
    data.SequenceOfUltrasoundRegions[0].PhysicalDeltaY = 0.03
    write_dicom(tmp_path / "cine.dcm", data, [jpeg(one) for one in frame_images(8, **SIZE)], syntax=PREFIX + "4.50")
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=DiscAnalyser())
    (area,) = _results(tmp_path / "out")["state-1"].DisplayedAreaSelectionSequence
    assert (area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner) == ([1, 1], [163, 121])
    assert [float(one) for one in area.PresentationPixelSpacing] == pytest.approx([0.3, 0.2])
    assert "PresentationPixelAspectRatio" not in area


@pytest.mark.parametrize(
    ("frames", "retired"), [(8, ""), (1, "1.2.840.10008.5.1.4.1.1.6"), (8, "1.2.840.10008.5.1.4.1.1.3")]
)
def test_a_grey_cine_or_still_has_all_results_valid(tmp_path: Path, frames: int, retired: str) -> None:
    data = disc_cine(tmp_path / "cine.dcm", frames=frames)
    data.SOPClassUID = retired or data.SOPClassUID
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    del data.PlanarConfiguration
    grey = np.stack(frame_images(frames, **SIZE))[..., 0].tobytes()
    write_dicom(tmp_path / "cine.dcm", data, grey + b"\0" * (len(grey) % 2))
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=DiscAnalyser())
    results = _results(tmp_path / "out")
    if frames == 1:  # seen too shortly to count
        assert "report-1" in results
        return
    assert results["state-1"].SOPClassUID == "1.2.840.10008.5.1.4.1.1.11.1"
    if shutil.which("dciodvfy") is not None:
        for path in sorted((tmp_path / "out").glob("*.dcm")):
            said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, check=False)
            errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith(b"Error")]
            if retired:  # dciodvfy takes the retired class for one of single frames, and nothing else may be wrong
                errors = [line for line in errors if not line.endswith(_NOT_MULTI_FRAME)]
            assert errors == []
    if shutil.which("dcmp2pgm") is not None:
        state = str(tmp_path / "out" / "dicom-state-1.dcm")
        call = ["dcmp2pgm", "--pstate", state, str(tmp_path / "cine.dcm"), str(tmp_path / "shown.pgm")]
        subprocess.run(call, capture_output=True, check=True)
        assert (tmp_path / "shown.pgm").stat().st_size > 121 * 163


def test_the_key_image_is_burned_in_marked_so_and_selected(folder: Path) -> None:
    results = _results(folder / "out")
    key, selection = results["key-1"], results["selection-1"]
    assert list(key.ImageType) == ["DERIVED", "SECONDARY"]
    assert key.BurnedInAnnotation == "YES"
    assert key.SourceImageSequence[0].ReferencedFrameNumber == 5
    with open_source(folder / "cine.dcm") as source:
        plain = [frame.image for frame in source.frames()][4]
    changed = np.abs(key.pixel_array.astype(int) - plain).max(axis=2) > 30
    assert changed[55 - 16 : 55 + 16, 54 - 24 : 54 + 24].any()
    referenced = selection.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert referenced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == key.SOPInstanceUID


def test_the_overlay_clip_is_read_back_with_its_times(folder: Path) -> None:
    data = _results(folder / "out")["overlay-1"]
    assert data.file_meta.TransferSyntaxUID == PREFIX + "4.102"
    assert (data.NumberOfFrames, float(data.FrameTime)) == (8, 40.0)
    with open_source(folder / "out" / "dicom-overlay-1.dcm") as source:
        frames = list(source.frames())
        assert source.complete
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(8)])


def test_patient_and_study_are_the_source_s_and_the_source_is_as_it_was(folder: Path) -> None:
    source = pydicom.dcmread(folder / "cine.dcm")
    for name, made in _results(folder / "out").items():
        assert made.StudyInstanceUID == source.StudyInstanceUID, name
        assert made.PatientName == "SECRET^N\u00e4me"
        assert (made.PatientID, made.StudyDate, made.AccessionNumber) == ("SECRET-ID", "20260101", "SECRET-ACC")
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
    for path in (folder / "out").glob("*.json*"):
        assert not any(secret in path.read_bytes() for secret in _SECRETS)


def test_a_repeated_run_makes_new_instances_of_the_same_series(folder: Path, tmp_path: Path) -> None:
    run_study([folder / "cine.dcm"], tmp_path, analyser=DiscAnalyser())
    before, after = _results(folder / "out"), _results(tmp_path)
    assert before.keys() == after.keys()
    for name, made in after.items():
        assert made.SeriesInstanceUID == before[name].SeriesInstanceUID
        assert made.SeriesDescription == before[name].SeriesDescription
        assert made.SOPInstanceUID != before[name].SOPInstanceUID


def test_a_reader_s_category_and_note_go_in_as_his_in_a_new_version(folder: Path) -> None:
    report = _results(folder / "out")["report-1"]
    made = with_reader_notes(report, {1: ("4A", "solid, 8 mm")}, RunIdentity())
    assert made.SOPInstanceUID != report.SOPInstanceUID
    predecessor = made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == report.SOPInstanceUID
    written = made.to_json()
    assert "category given by the reader" in written
    assert "solid, 8 mm" in written
    assert "solid" not in report.to_json()


def test_notes_on_a_finished_folder_become_a_report_beside_the_first(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    before = (tmp_path / "out" / "dicom-report-1.dcm").read_bytes()
    for note in ("first thought", "second thought"):
        write_reader_reports(tmp_path / "out", {1: ReaderEntry(c_tirads=None, note=note)})
    written = pydicom.dcmread(tmp_path / "out" / "dicom-reader-1.dcm").to_json()
    assert "second thought" in written
    assert "first thought" not in written
    assert (tmp_path / "out" / "dicom-report-1.dcm").read_bytes() == before


@pytest.mark.parametrize("modality", ["CT", "DX", "NONSENSE"])
def test_an_ultrasound_whose_modality_says_something_else_has_all_results(tmp_path: Path, modality: str) -> None:
    disc_cine(tmp_path / "cine.dcm", Modality=modality)
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=DiscAnalyser())
    results = _results(tmp_path / "out")
    assert list(results) == ["key-1", "overlay-1", "report-1", "seg-1", "selection-1", "state-1"]
    assert {results["key-1"].Modality, results["overlay-1"].Modality} == {"US"}


def test_malformed_study_attributes_do_not_stop_the_results(tmp_path: Path) -> None:
    data = disc_cine(tmp_path / "cine.dcm", frames=8)
    del data.StudyTime, data.StudyID
    data.PatientSex = "X"
    data["StudyDate"].value = "2026.1.1x"
    frames = [jpeg(image) for image in frame_images(8, **SIZE)]
    write_dicom(tmp_path / "cine.dcm", data, frames, syntax=PREFIX + "4.50")
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=DiscAnalyser())
    made = _results(tmp_path / "out")["report-1"]
    assert (made.StudyTime, made.StudyDate, made.PatientSex) == ("", "", "")


def test_a_clip_that_is_no_dicom_is_refused_before_anything_is_analysed(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), frame_images(1)[0])
    with pytest.raises(InputError, match="no DICOM file"):
        run_study([tmp_path / "still.png"], tmp_path / "out", analyser=DiscAnalyser())
    assert not (tmp_path / "out").exists()


def test_what_is_not_measured_stays_in_pixels(tmp_path: Path) -> None:
    data = disc_cine(tmp_path / "cine.dcm")
    del data.SequenceOfUltrasoundRegions
    frames = [jpeg(image) for image in frame_images(8, **SIZE)]
    write_dicom(tmp_path / "cine.dcm", data, frames, syntax=PREFIX + "4.50")
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=DiscAnalyser())
    report = hd.sr.srread(tmp_path / "out" / "dicom-report-1.dcm")
    group, _ = _content(report).get_planar_roi_measurement_groups()
    units = {one.name.meaning: one.unit.value for one in group.get_measurements()}
    assert units["Long axis"] == units["Area"] == "{pixels}"
    segmentation = hd.seg.segread(tmp_path / "out" / "dicom-seg-1.dcm")
    assert "PixelMeasuresSequence" not in segmentation.SharedFunctionalGroupsSequence[0]  # nothing is made up


class _OutlinesNothing(DiscAnalyser):
    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        return [
            replace(
                one,
                findings=tuple(
                    replace(seen, contour_xy=seen.contour_xy[:0], long_axis_px=0, short_axis_px=0, area_px=0)
                    for seen in one.findings
                ),
            )
            for one in super().analyse(frames)
        ]


def test_a_nodule_without_an_outline_is_reported_by_its_box(tmp_path: Path) -> None:
    disc_cine(tmp_path / "cine.dcm")
    run_study([tmp_path / "cine.dcm"], tmp_path / "out", analyser=_OutlinesNothing())
    group, _ = _content(hd.sr.srread(tmp_path / "out" / "dicom-report-1.dcm")).get_planar_roi_measurement_groups()
    assert group.roi is not None
    points = np.array(group.roi.value)
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([34, 43], [75, 68])
    assert {one.name.meaning for one in group.get_measurements()} == {"Probability of cancer", "Number of Frames"}


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.844, "nodule: 84 %"), (0.999, "nodule: >99 %"), (0.001, "nodule: <1 %")]
)
def test_the_presentation_state_claims_no_certainty(probability: float, shown: str) -> None:
    nodule = SimpleNamespace(label="nodule", probability=probability)
    clip = SimpleNamespace(source=SimpleNamespace(Columns=640, Rows=480))
    contour = np.array([[100, 100], [200, 200]], np.int16)
    text = _name(cast(NoduleResult, nodule), contour, cast(ClipOutlines, clip))
    assert text.text_value == shown
