"""Frame times in the order the standard gives, and what happens where they are malformed."""

import pytest
from pydicom.dataset import Dataset

from streamer.sources._dicom_times import DEFAULT_FPS, frame_times


def _data(**attributes: object) -> Dataset:
    data = Dataset()
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return data


@pytest.mark.parametrize(
    ("attributes", "fps"),
    [
        ({"FrameTime": 40, "CineRate": 10}, 25),
        ({"FrameTime": 40, "FrameTimeVector": [0, 20, 20], "FrameIncrementPointer": 0x00181065}, 50),
        ({"FrameTime": 40, "FrameTimeVector": [0, 20, 20], "FrameIncrementPointer": 0x00181063}, 25),
        ({"FrameTimeVector": [0, 20, 20], "FrameIncrementPointer": 0x00181063}, 50),
        ({"CineRate": 10, "RecommendedDisplayFrameRate": 20}, 10),
        ({"RecommendedDisplayFrameRate": 20}, 20),
        ({"ActualFrameDuration": 50}, 20),
        ({"EffectiveDuration": 0.5}, 6),
        ({"FrameTime": 0, "CineRate": 10}, 10),
        ({"FrameTime": -5, "CineRate": 0}, DEFAULT_FPS),
    ],
)
def test_the_first_sound_statement_decides(attributes: dict[str, object], fps: float) -> None:
    times = frame_times(_data(**attributes), 3)
    assert times.fps == pytest.approx(fps)
    assert bool(times.warning) == (fps == DEFAULT_FPS)


def test_an_uneven_vector_gives_every_frame_its_time() -> None:
    times = frame_times(_data(FrameTimeVector=[0, 20, 60, 20], FrameIncrementPointer=0x00181065), 4)
    assert [times.start_s(index) for index in range(5)] == pytest.approx([0, 0.02, 0.08, 0.1, 0.12])
    assert not times.warning


def test_a_vector_that_is_short_or_stands_still_is_mended_and_said() -> None:
    times = frame_times(_data(FrameTimeVector=[0, 20, 0, 20], FrameIncrementPointer=0x00181065), 6)
    assert [times.start_s(index) for index in range(6)] == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])
    assert times.warning.startswith("3 frame times missing")


def test_a_malformed_value_counts_as_none() -> None:
    data = _data(CineRate=10)
    data.add_new(0x00181063, "LO", "forty")
    assert frame_times(data, 3).fps == 10
