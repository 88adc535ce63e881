"""Real ultrasound clips: every frame is delivered, with the grey values that another reader finds."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.sources import open_source


def test_cine_clips_deliver_every_labelled_frame(data_dir: Path) -> None:
    with (data_dir / "cine" / "frames.csv").open(encoding="utf-8") as file:
        expected = Counter(row["clip"] for row in csv.DictReader(file))
    found = {}
    for clip in expected:
        with open_source(data_dir / "cine" / f"{clip}.mp4") as source:
            found[clip] = sum(1 for _ in source.frames())
            assert (clip, source.complete, source.warnings) == (clip, True, ())
            assert source.expected_frames == found[clip]
    assert found == dict(expected)


def test_lung_clips_agree_with_opencv(data_dir: Path) -> None:
    """Count and grey values. (`clips.csv` has the container's own estimate for the two mpeg clips: 1 and 2 too few.)"""
    with (data_dir / "lung" / "clips.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        clip = data_dir / "lung" / row["clip"]
        reader = cv2.VideoCapture(str(clip))
        with open_source(clip) as source:
            assert (source.info.width, source.info.height) == (int(row["width"]), int(row["height"]))
            assert source.info.fps == pytest.approx(float(row["fps"]), abs=0.01)
            count = 0
            for frame in source.frames():
                found, bgr = reader.read()
                assert found, (row["clip"], frame.index)
                if frame.index % 10 == 0:
                    difference = np.abs(frame.image.astype(np.int16) - bgr[..., ::-1])
                    assert difference.max() <= 2, (row["clip"], frame.index)
                count += 1
            assert (row["clip"], source.complete, source.warnings) == (row["clip"], True, ())
        assert not reader.read()[0]
        reader.release()
        if clip.suffix != ".mpeg":
            assert count == int(row["frames"])
