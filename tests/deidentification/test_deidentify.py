"""De-identification: a name in every place is found in nothing that is written, said or logged."""

import json
import logging
import shutil
import subprocess
from datetime import date
from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest
from pydicom.datadict import tag_for_keyword

from streamer.deidentification import header as header_module
from streamer.deidentification.header import deidentified, header_changes
from streamer.deidentification.pixels import sector_mask
from streamer.deidentification.pseudonyms import Pseudonyms
from streamer.deidentification.run import REPORT, Options, deidentify
from streamer.deidentification.text_search import can_search, find_text
from streamer.errors import InputError, OutputError
from streamer.sources import open_source
from tests.cli.command_line import Cli
from tests.dicom_files import PREFIX, add_region, cine_dataset, frame_images, jpeg, write_dicom
from tests.dicom_planted import NAME, REGION, SIZE, files_with_name, holds_name, picture, planted_cine

_NO_TEXT = Options(search_text=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cine with the name in every place."""
    return planted_cine(tmp_path_factory.mktemp("planted") / "in.dcm")


@pytest.fixture(scope="module")
def out(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it became."""
    folder = tmp_path_factory.mktemp("clean") / "out"
    deidentify(planted, folder, names=Pseudonyms(), options=_NO_TEXT)
    return folder


@pytest.mark.parametrize("dates", [False, True])
def test_a_name_in_every_place_is_nowhere_afterwards(
    cli: Cli,
    planted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    dates: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "streamer")
    assert len(pydicom.dcmread(planted)) > 1500
    with open_source(planted) as opened:
        assert sum(1 for _ in opened.frames()) == 3  # which would be an empty test, were it not read
    more = ["--keep-dates-shifted"] if dates else []
    assert cli("deidentify", planted, tmp_path / "out", "--without-ocr", *more) == 0
    assert files_with_name(tmp_path / "out") == []
    said = capsys.readouterr()
    assert not holds_name(said.out + said.err + caplog.text)


def test_pixels_outside_the_regions_are_black_in_every_frame_and_those_inside_stay(out: Path) -> None:
    left, top, right, bottom = REGION
    with open_source(out / "0001.dcm") as source:
        assert source.info.pixel_spacing_mm == pytest.approx((0.2, 0.2))
        assert source.info.fps == pytest.approx(25)
        frames = [frame.image for frame in source.frames()]
        assert source.complete
    for index, image in enumerate(frames):
        inside = image[top + 8 : bottom - 8, left + 8 : right - 8].astype(int)
        original = picture(index)[top + 8 : bottom - 8, left + 8 : right - 8].astype(int)
        assert abs(inside.mean() - original.mean()) < 2
        outside = image.copy()
        outside[top - 2 : bottom + 3, left - 2 : right + 3] = 0  # JPEG rings over an edge
        assert outside.max() < 40
        assert outside[:50].max() < 8


def test_what_was_coded_without_loss_stays_so_bit_for_bit(tmp_path: Path) -> None:
    for number, syntax in enumerate((PREFIX + "1", PREFIX + "4.80"), start=1):
        data = cine_dataset(2)
        add_region(data, (4, 4, 59, 43))
        images = frame_images(2)
        import imagecodecs

        coded = [bytes(imagecodecs.jpegls_encode(image)) for image in images]
        payload = b"".join(image.tobytes() for image in images) if number == 1 else coded
        write_dicom(tmp_path / f"{number}.dcm", data, payload, syntax=syntax)
        deidentify(tmp_path / f"{number}.dcm", tmp_path / f"out{number}", names=Pseudonyms(), options=_NO_TEXT)
        with open_source(tmp_path / f"out{number}" / "0001.dcm") as source:
            for frame, image in zip(source.frames(), images, strict=True):
                assert np.array_equal(frame.image[4:44, 4:60], image[4:44, 4:60])
                assert frame.image[:4].max() == 0


@pytest.mark.parametrize("syntax", ["1", "5", "4.80"])
@pytest.mark.parametrize(("photometric", "signed"), [("MONOCHROME2", 0), ("MONOCHROME1", 0), ("MONOCHROME2", 1)])
def test_samples_of_more_than_8_bits_keep_their_depth(
    tmp_path: Path, syntax: str, photometric: str, signed: int
) -> None:
    data = cine_dataset(2, samples=1)
    data.PhotometricInterpretation, data.PixelRepresentation = photometric, signed
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.WindowCenter, data.WindowWidth = 900, 1500
    add_region(data, (4, 4, 59, 43))
    stored = np.random.default_rng(0).integers(-2048 if signed else 0, 2048 if signed else 4096, (2, 48, 64))
    data.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    data["PixelData"].VR = "OW"
    write_dicom(tmp_path / "in.dcm", data, data.PixelData)
    if syntax != "1":
        coded = pydicom.dcmread(tmp_path / "in.dcm")
        coded.compress(PREFIX + syntax)
        coded.save_as(tmp_path / "in.dcm")
    deidentify(tmp_path / "in.dcm", tmp_path / "out", names=Pseudonyms(), options=_NO_TEXT)
    made = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert made.file_meta.TransferSyntaxUID == PREFIX + ("1" if syntax == "1" else "4.80")
    assert (made.BitsStored, made.PhotometricInterpretation, made.WindowCenter) == (12, photometric, 900)
    assert np.array_equal(made.pixel_array[:, 4:44, 4:60], stored[:, 4:44, 4:60])
    black = {"MONOCHROME1": 4095, "MONOCHROME2": -2048 if signed else 0}[photometric]
    assert (made.pixel_array[:, :4] == black).all()
    with open_source(tmp_path / "out" / "0001.dcm") as source:
        assert all(frame.image[:4].max() == 0 for frame in source.frames())


def test_what_is_written_is_valid(out: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    call = ["dciodvfy", "-new", str(out / "0001.dcm")]
    said = subprocess.run(call, capture_output=True, check=False)
    lines = (said.stdout + said.stderr).decode("utf-8", "replace").splitlines()
    assert [line for line in lines if line.startswith("Error")] == []


def test_uids_and_patients_are_the_same_within_a_run_and_with_a_map(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    first, second = cine_dataset(1), cine_dataset(1)
    second.StudyInstanceUID = first.StudyInstanceUID
    for name, data in (("a", first), ("b", second)):
        add_region(data, (4, 4, 59, 43))
        write_dicom(tmp_path / "in" / f"{name}.dcm", data, frame_images(1)[0].tobytes())
    for run in ("one", "two"):
        names = Pseudonyms(tmp_path / "map.json")
        deidentify(tmp_path / "in", tmp_path / run, names=names, options=_NO_TEXT)
    made = [pydicom.dcmread(tmp_path / run / f"000{n}.dcm") for run in ("one", "two") for n in (1, 2)]
    assert len({one.StudyInstanceUID for one in made}) == 1
    assert made[0].StudyInstanceUID != first.StudyInstanceUID
    assert len({one.SOPInstanceUID for one in made}) == 2
    assert len({one.PatientID for one in made}) == 1
    assert (tmp_path / "map.json").stat().st_mode & 0o077 == 0
    kept = json.loads((tmp_path / "map.json").read_text())
    assert kept["uids"][first.StudyInstanceUID] == made[0].StudyInstanceUID
    assert kept["patients"][made[0].PatientID]["PatientID"] == "SECRET-ID"
    other = deidentified(pydicom.dcmread(tmp_path / "in" / "a.dcm"), Pseudonyms(), shift_dates=False)
    assert other.StudyInstanceUID != made[0].StudyInstanceUID


def test_dates_go_or_move_together(tmp_path: Path) -> None:
    data = cine_dataset(1)
    data.ContentDate, data.ContentTime = "20260103", "101530"
    names = Pseudonyms()
    gone = deidentified(data, names, shift_dates=False)
    assert (gone.StudyDate, gone.StudyTime, gone.PatientBirthDate) == ("", "", "")
    assert "ContentDate" not in gone
    moved = deidentified(data, names, shift_dates=True)
    days = [date.fromisoformat(str(value)) for value in (moved.StudyDate, moved.ContentDate)]
    assert (days[1] - days[0]).days == 2
    assert days[0] < date(2026, 1, 1)
    assert (moved.StudyTime, moved.ContentTime, moved.PatientBirthDate) == ("101500", "101530", "")
    assert "StudyDate" in header_changes(data, moved).replaced
    data.StudyDate = "20261399"
    assert deidentified(data, names, shift_dates=True).StudyDate == ""


def test_the_report_says_what_was_changed_and_never_a_value(out: Path) -> None:
    (entry,) = json.loads((out / REPORT).read_text())["files"]
    assert "PatientComments" in entry["header"]["removed"]
    assert "PatientName" in entry["header"]["replaced"]
    assert "Rows" in entry["header"]["kept"]
    assert entry["header"]["private"] > 50
    assert 0.3 < entry["masked"] < 0.6
    assert entry["text_searched"] is None


@pytest.mark.parametrize("region", [None, (0, 0, 63, 47), (0, 0, 400, 300)])
def test_a_picture_that_does_not_say_where_its_scan_is_needs_a_box(
    tmp_path: Path, region: tuple[int, int, int, int] | None
) -> None:
    data = cine_dataset(1)
    if region is not None:
        add_region(data, region)
    write_dicom(tmp_path / "in.dcm", data, frame_images(1)[0].tobytes())
    refused = deidentify(tmp_path / "in.dcm", tmp_path / "out", names=Pseudonyms(), options=_NO_TEXT)
    assert ["--box" in reason for reason in refused.refused] == [True]
    assert not (tmp_path / "out").exists()
    boxed = Options(boxes=((10, 10, 50, 40),), search_text=False)
    deidentify(tmp_path / "in.dcm", tmp_path / "out", names=Pseudonyms(), options=boxed)
    with open_source(tmp_path / "out" / "0001.dcm") as source:
        (frame,) = source.frames()
    assert frame.image[:10].max() == 0
    assert frame.image[12:38, 12:48].min(axis=2).max() > 0


def test_a_box_outside_of_the_picture_is_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in.dcm", cine_dataset(1), frame_images(1)[0].tobytes())
    boxed = Options(boxes=((0, 0, 65, 40),), search_text=False)
    (reason,) = deidentify(tmp_path / "in.dcm", tmp_path / "out", names=Pseudonyms(), options=boxed).refused
    assert "outside" in reason


def test_a_box_the_wrong_way_round_is_refused_as_such(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in.dcm", cine_dataset(1), frame_images(1)[0].tobytes())
    boxed = Options(boxes=((50, 40, 10, 10),), search_text=False)
    (reason,) = deidentify(tmp_path / "in.dcm", tmp_path / "out", names=Pseudonyms(), options=boxed).refused
    assert reason == "the box 50,40,10,10 is empty: write it X0,Y0,X1,Y1, the smaller first"


def test_the_output_does_not_lie_among_the_originals(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_dicom(tmp_path / "in" / "1.dcm", cine_dataset(1), frame_images(1)[0].tobytes())
    with pytest.raises(OutputError, match="beside the originals"):
        deidentify(tmp_path / "in", tmp_path / "in" / "out", names=Pseudonyms())
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["1.dcm"]


def test_letters_inside_are_warned_of_by_frame_and_box(
    cli: Cli, planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not can_search():
        pytest.skip("tesseract is not installed (Debian: tesseract-ocr)")
    assert cli("deidentify", planted, tmp_path / "out", "--box", "0,0,256,192") == 0
    said = capsys.readouterr()
    assert "0001.dcm: letters in frame 0, box " in said.err
    assert not holds_name(said.err + said.out)
    assert files_with_name(tmp_path / "out") == []  # pixels are pixels, but no metadata
    left, top, right, bottom = (int(part) for part in said.err.split("box ")[1].split()[0].split(","))
    assert left < 60
    assert right > 150
    assert 5 < top < bottom < 60


@pytest.mark.parametrize("colour", [(255, 255, 255), (190, 190, 190), (255, 220, 0), (0, 0, 0)])
def test_letters_over_tissue_are_found_in_any_colour(colour: tuple[int, int, int]) -> None:
    if not can_search():
        pytest.skip("tesseract is not installed (Debian: tesseract-ocr)")
    dark = colour == (0, 0, 0)
    speckle = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (240, 400), np.uint8), (0, 0), 3)
    image = cv2.cvtColor(speckle // 2 + np.uint8(110 if dark else 0), cv2.COLOR_GRAY2RGB)
    assert find_text(np.asarray(image, np.uint8), 3) == []
    cv2.putText(image, NAME, (60, 130), cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2, cv2.LINE_AA)
    found = find_text(np.asarray(image, np.uint8), 3)
    assert found
    assert all(one.frame == 3 and 100 < one.box[1] < one.box[3] < 145 for one in found)


def test_a_video_keeps_its_sector_and_its_times_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = container.metadata["comment"] = NAME
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = SIZE["columns"], SIZE["rows"], "yuv420p"
        sound = container.add_stream("aac", rate=44100)
        for index in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 44100
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    assert holds_name(path.read_bytes())
    (report,) = deidentify(path, tmp_path / "out", names=Pseudonyms(), options=_NO_TEXT).written
    assert (report.file, report.frames) == ("0001.mp4", 12)
    assert files_with_name(tmp_path / "out") == []
    with av.open(str(tmp_path / "out" / "0001.mp4")) as container:
        assert len(container.streams) == 1
    with open_source(tmp_path / "out" / "0001.mp4") as source:
        frames = list(source.frames())
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(12)], abs=1e-3)
    assert frames[3].image[:45].max() < 12
    assert frames[3].image[80:160, 40:200].mean() > 60


def test_a_video_in_which_nothing_moves_needs_a_box() -> None:
    assert sector_mask([picture(1)] * 5) is None
    found = sector_mask(picture(index) for index in range(5))
    assert found is not None
    left, top, right, bottom = REGION
    assert found[top + 10 : bottom - 10, left + 10 : right - 10].all()
    assert not found[:45].any()


def test_the_output_must_be_new_and_the_input_something(planted: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(InputError, match="no DICOM file and no video"):
        deidentify(tmp_path / "note.txt", tmp_path / "out", names=Pseudonyms())
    with pytest.raises(OutputError, match="not empty"):
        deidentify(planted, tmp_path, names=Pseudonyms())
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(InputError, match="no map of an earlier run"):
        Pseudonyms(tmp_path / "map.json")


def test_a_folder_s_files_are_done_one_by_one_and_a_refused_one_is_named(
    cli: Cli, planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(planted, tmp_path / "in" / "a.dcm")
    write_dicom(
        tmp_path / "in" / "b.dcm", cine_dataset(2), [jpeg(one) for one in frame_images(2)], syntax=PREFIX + "4.50"
    )
    assert cli("deidentify", tmp_path / "in", tmp_path / "out", "--without-ocr") == 2
    said = capsys.readouterr().out
    assert "refused: b.dcm" in said
    assert "1 files written, 1 refused" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.dcm", REPORT]


def test_a_number_that_no_scanner_states_is_an_identifier_and_goes() -> None:
    header = cine_dataset(2)
    header.SeriesNumber, header.MechanicalIndex, header.CineRate = 20260114, "7734177341", 25
    add_region(header, (8, 8, 55, 39))
    header.SequenceOfUltrasoundRegions[0].TransducerFrequency = 19700101
    made = deidentified(header, Pseudonyms(), shift_dates=False)
    assert made.SeriesNumber is None  # which the standard wants, if empty
    assert "MechanicalIndex" not in made
    assert "TransducerFrequency" not in made.SequenceOfUltrasoundRegions[0]
    assert made.CineRate == 25


def test_every_attribute_that_is_kept_is_one_of_the_standard_s() -> None:
    kept = (
        *header_module._NUMBERS, *header_module._REGION_NUMBERS, *header_module._TERMS, *header_module._UIDS,
        *header_module._DATES, *header_module._TIMES, *header_module._EMPTY,
    )  # fmt: skip
    assert [keyword for keyword in kept if tag_for_keyword(keyword) is None] == []
