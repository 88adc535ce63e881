"""Folders of DICOM files and DICOMDIRs: one patient, in the order of study, series and instance."""

import gc
import logging
import warnings
from pathlib import Path

import cv2
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import CTImageStorage, generate_uid

from streamer.dicom.classes import PRODUCT
from streamer.errors import InputError
from streamer.sources import open_source
from streamer.sources.clips import expand_clips, expand_studies
from tests.dicom_files import cine_dataset, frame_images, write_dicom
from tests.sources.media import write_clip


def _write(path: Path, **attributes: object) -> Dataset:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cine_dataset(1)
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    write_dicom(path, data, frame_images(1)[0].tobytes())
    return data


def test_clips_come_in_the_order_of_study_series_and_instance_from_any_depth(tmp_path: Path) -> None:
    study, later = generate_uid(), generate_uid()
    first = _write(tmp_path / "z" / "1", StudyInstanceUID=study, SeriesNumber=1, InstanceNumber=2)
    _write(tmp_path / "a" / "2", StudyInstanceUID=later, StudyDate="20260202", SeriesNumber=1)
    _write(tmp_path / "3", StudyInstanceUID=study, SeriesNumber=2, InstanceNumber=1)
    same = {"StudyInstanceUID": study, "SeriesInstanceUID": first.SeriesInstanceUID}
    _write(tmp_path / "b" / "4", SeriesNumber=1, InstanceNumber=10, **same)
    _write(tmp_path / "b" / "5", SeriesNumber=1, InstanceNumber=9, **same)
    (tmp_path / "readme.txt").write_text("no DICOM")
    _write(tmp_path / "plan", SOPClassUID=CTImageStorage, Modality="CT")
    _write(tmp_path / "ours", Manufacturer=PRODUCT, ManufacturerModelName=PRODUCT)
    names = [path.relative_to(tmp_path).as_posix() for path in expand_clips([tmp_path])]
    assert names == ["z/1", "b/5", "b/4", "3", "a/2"]
    assert [len(clips) for clips in expand_studies(tmp_path)] == [4, 1]


def test_videos_and_stills_beside_dicom_files_are_left_out_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "streamer")
    _write(tmp_path / "1.dcm")
    (tmp_path / "readme.txt").write_text("neither")
    assert [path.name for path in expand_clips([tmp_path])] == ["1.dcm"]
    assert not caplog.messages
    write_clip(tmp_path / "ZWIEBELTURM.mp4", codec="libx264", frames=2)
    Image.new("L", (64, 48)).save(tmp_path / "still.png")
    assert [path.name for path in expand_clips([tmp_path])] == ["1.dcm"]
    assert "left out (2): give them by themselves" in caplog.text
    assert "ZWIEBELTURM" not in caplog.text
    caplog.clear()
    assert len(expand_studies(tmp_path)) == 1
    assert "left out (2)" in caplog.text


def test_letters_that_fit_no_character_set_are_no_matter_for_a_remark(tmp_path: Path) -> None:
    """pytest would make an error of pydicom's."""
    name, identifier = b"ZWIEBELTURM^ANNA", b"ZWIEBEL7"
    _write(
        tmp_path / "1.dcm", SpecificCharacterSet="ISO_IR 192", PatientName=name.decode(), PatientID=identifier.decode()
    )
    content = (tmp_path / "1.dcm").read_bytes()
    for plain in (name, identifier):
        content = content.replace(plain, b"\xff\x1b$" + plain[3:])
    (tmp_path / "1.dcm").write_bytes(content)
    assert [path.name for path in expand_clips([tmp_path])] == ["1.dcm"]


def test_several_patients_are_refused_without_their_names(tmp_path: Path) -> None:
    _write(tmp_path / "1")
    _write(tmp_path / "2", PatientID="", PatientName="OTHER^PATIENT")
    with pytest.raises(InputError) as caught:
        expand_clips([tmp_path])
    assert "2 patients" in str(caught.value)
    assert "--each study" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "OTHER" not in str(caught.value)
    assert len(expand_studies(tmp_path)) == 2


def test_a_dicomdir_leads_to_its_files(tmp_path: Path) -> None:
    files = FileSet()
    for number in (2, 1):
        data = cine_dataset(1)
        data.InstanceNumber = number
        files.add(write_dicom(tmp_path / f"in{number}", data, frame_images(1)[0].tobytes()))
    files.write(tmp_path / "set")
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # its folder for what it stages
        del files
        gc.collect()
    clips = expand_clips([tmp_path / "set" / "DICOMDIR"])
    assert len(clips) == 2
    assert all(clip.is_file() for clip in clips)
    assert sorted(expand_clips([tmp_path / "set"])) == sorted(clips)
    for clip in clips:
        clip.unlink()
    with pytest.raises(InputError, match="refers to no file that is there"):
        expand_clips([tmp_path / "set" / "DICOMDIR"])


def test_one_clip_in_a_folder_opens_like_the_clip_several_do_not(tmp_path: Path) -> None:
    _write(tmp_path / "one")
    with open_source(tmp_path) as source:
        assert sum(1 for _ in source.frames()) == 1
    _write(tmp_path / "two")
    with pytest.raises(InputError, match="holds 2 clips"):
        open_source(tmp_path)


def test_a_folder_of_other_objects_is_refused_and_a_folder_of_stills_stays_one(tmp_path: Path) -> None:
    _write(tmp_path / "ct" / "1", SOPClassUID=CTImageStorage, Modality="CT")
    with pytest.raises(InputError, match="none of them an ultrasound picture"):
        expand_clips([tmp_path / "ct"])
    stills = tmp_path / "stills"
    stills.mkdir()
    cv2.imwrite(str(stills / "1.png"), frame_images(1)[0])
    assert expand_clips([stills, tmp_path / "nowhere"]) == [stills, tmp_path / "nowhere"]
