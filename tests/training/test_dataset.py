"""What enters a training: chosen by source, checked for duplicates, boxed by a teacher."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

import streamer.training.dataset as training_data
from streamer.data.csv_manifest import read_csv_manifest
from streamer.data.grey import read_grey
from streamer.data.pixels import Picture
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.training.dataset import load_training_data, select_samples
from tests.data.manifest_file import write_manifest
from tests.training.tiny import config, write_data


@pytest.fixture(autouse=True)
def _all_messages(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="streamer")


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(" ".join(caplog.messages).split())


def rewrite(manifest: Path, samples: Sequence[Sample]) -> Path:
    write_manifest(samples, manifest)
    return manifest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


def test_the_class_balance_is_logged(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = select_samples(config("detector", sources={"tiny": {"stride": 2}}), data)
    assert (len(chosen.train), len(chosen.val)) == (3, 4)
    assert "splits of tiny: as given" in logged(caplog)
    assert "tiny train 3 43% 3 3 0 3 0 tiny val 4 57% 4 4 0 2 2" in logged(caplog)


@pytest.mark.parametrize(("share", "patients"), [(0.5, ["p0", "p2", "p4"]), (0.34, ["p0", "p2"]), (0.01, ["p0"])])
def test_a_share_of_the_patients(data: Path, share: float, patients: list[str]) -> None:
    chosen = select_samples(config("detector", sources={"tiny": {"patients": share}}), data)
    assert ([item.group for item in chosen.train], len(chosen.val)) == (patients, 4)


def test_splits_that_are_made_are_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = data.read_text().replace(",train,", ",,").replace(",val,", ",,")
    data.write_text(text)
    chosen = select_samples(config("detector", split_seed=5), data)
    assert chosen.splits == {"tiny": "7:2:1 by patient, seed 5"}
    assert (len(chosen.train), len(chosen.val)) == (7, 2)
    assert "splits of tiny: 7:2:1 by patient, seed 5" in logged(caplog)


def test_a_centre_left_out_neither_trains_nor_validates(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = read_csv_manifest(data).samples
    rewrite(data, [replace(item, hospital="AB"[number % 2]) for number, item in enumerate(samples)])
    chosen = select_samples(config("detector", leave_out="hospital=A"), data)
    assert {item.hospital for item in [*chosen.train, *chosen.val]} == {"B"}
    assert chosen.splits == {"tiny": "as given; hospital=A is test"}
    assert "tiny test 5 50%" in logged(caplog)
    with pytest.raises(DataError, match="no hospital 'C' to leave out; known: A, B"):
        select_samples(config("detector", leave_out="hospital=C"), data)


@pytest.fixture
def leaking(data: Path) -> Path:
    """The first validation image is the first training image, with a caliper."""
    samples = read_csv_manifest(data).samples
    image = read_grey(samples[0].image)
    cv2.drawMarker(image, (40, 40), (255,), cv2.MARKER_CROSS, 5)
    cv2.imwrite(str(next(item.image for item in samples if item.split == "val")), image)
    return data


def test_the_same_image_in_two_splits_is_refused(leaking: Path) -> None:
    with pytest.raises(DataError) as caught:
        select_samples(config("detector"), leaking)
    assert "6.png (tiny, val) is nearly the same image as" in str(caught.value)
    assert "0.png (tiny, train): keep both in one split, or" in str(caught.value)


def test_or_the_held_out_one_is_left_out(leaking: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = select_samples(config("detector"), leaking, drop_duplicates=True)
    assert [item.group for item in chosen.val] == ["p7", "p8", "p9"]
    assert len(chosen.train) == 6
    assert "1 held-out images nearly equal one of an earlier split and are left out;" in logged(caplog)


def test_the_teacher_boxes_what_has_no_box(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training pictures without a box need a teacher; validation pictures without a box judge nothing."""
    samples = [
        replace(item, boxes_xyxy=(), mask=None) if item.group in ("p0", "p1", "p6") else item
        for item in read_csv_manifest(data).samples
    ]
    rewrite(data, samples)
    asked = []

    def confirmed(pictures: Sequence[Picture], teacher: str, least: float) -> list[Picture]:
        asked.append((len(pictures), teacher, least))
        return list(pictures[1:])

    monkeypatch.setattr(training_data, "load_proposer", lambda weights, most: f"{weights}, {most}")
    monkeypatch.setattr(training_data, "confirmed_boxes", confirmed)
    for self_training, expected in ((None, 4), (0.35, 5)):
        settings = config("detector", self_training=self_training)
        chosen = select_samples(settings, data)
        train, val = load_training_data(chosen, settings, Path("teacher"))
        assert (len(train), len(val)) == (expected, 3)
    assert asked == [(6, "teacher, 3", 0.35)]
