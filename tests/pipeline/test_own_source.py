"""A source of a program's own: what it promises is checked at the call, and frame by frame, in one line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamer.errors import InputError
from streamer.pipeline.analyse import analyse
from streamer.pipeline.multistream import StreamEvent, analyse_streams
from streamer.testing import FakeAnalyser, fake_clip
from streamer.types import ClipInfo, Frame
from tests.fakes import grey_image

BAD_AT = 4


class Own:
    """Six frames at 25 a second; the fifth may be changed."""

    live, complete, duration_s, expected_frames = False, False, 0.0, None
    warnings: tuple[str, ...] = ()

    def __init__(self, bad: object = None, **changes: Any) -> None:
        self.info: Any = ClipInfo(name="own", width=64, height=48, fps=25.0)
        self._bad, self._changes = bad, changes

    def frames(self) -> Iterator[Any]:
        for index in range(6):
            frame = Frame(image=grey_image(), index=index, time_s=index / 25, video="own")
            if index == BAD_AT:
                yield replace(frame, **self._changes) if self._bad is None else self._bad
            else:
                yield frame

    def close(self) -> None: ...

    def __enter__(self) -> Own:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_source_of_ones_own_is_analysed() -> None:
    assert [result.frame.index for result in analyse(Own(), analyser=FakeAnalyser())] == list(range(6))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Own(grey_image()), "must be a Frame, not a ndarray"),
        (Own(image=np.zeros((48, 64), np.uint8)), r"not uint8 \(48, 64\)"),
        (Own(image=np.zeros((48, 64, 3))), "not float64"),
        (Own(image=[[0]]), "not list"),
        (Own(video="other"), "video must be the source's info.name, not 'other'"),
        (Own(index=BAD_AT - 1), "index must increase, not be 3"),
        (Own(time_s=(BAD_AT - 1) / 25), "time_s must be finite and increase"),
        (Own(time_s=float("nan")), "not be nan"),
        (Own(time_s=float("inf")), "not be inf"),
    ],
)
def test_a_frame_that_is_none_ends_the_analysis_after_those_before_it(source: Own, message: str) -> None:
    seen: list[int] = []
    with pytest.raises(InputError, match=f"^own, the frame after 3: .*{message}"):
        seen += (result.frame.index for result in analyse(source, analyser=FakeAnalyser()))
    assert seen == list(range(BAD_AT))


def test_the_first_frame_is_checked_too() -> None:
    source: Any = Own()
    source.frames = lambda: iter([5])
    with pytest.raises(InputError, match="own, the first frame: must be a Frame, not a int"):
        list(analyse(source, analyser=FakeAnalyser()))


def test_a_source_needs_all_its_members() -> None:
    class Half:
        info = Own().info

        def frames(self) -> Iterator[Frame]:
            raise NotImplementedError

    half: Any = Half()
    with pytest.raises(InputError, match="Half is no Source: it has no live and no expected_frames"):
        analyse(half, analyser=FakeAnalyser())
    half.live = False
    with pytest.raises(InputError, match="it has no expected_frames"):
        analyse_streams([half], FakeAnalyser(), on_result=print)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"name": "own"}, "must be a ClipInfo, not a dict"),
        (replace(Own().info, fps=0.0), "fps must be a finite number above 0"),
        (replace(Own().info, fps=float("inf")), "fps must be a finite number above 0"),
    ],
)
def test_a_source_must_say_what_it_is(info: object, message: str) -> None:
    source: Any = Own()
    source.info = info
    with pytest.raises(InputError, match=message):
        analyse(source, analyser=FakeAnalyser())


def test_a_bad_frame_ends_its_own_stream_only() -> None:
    events: list[StreamEvent] = []
    streams: Any = [Own(video="other"), Own()]
    with analyse_streams(streams, FakeAnalyser(), on_result=lambda *_: None, on_event=events.append) as serving:
        assert serving.wait(timeout_s=60)
    assert {event.stream: event.kind for event in events} == {0: "failed", 1: "ended"}
    assert next(event for event in events if event.stream == 0).message.startswith("own, the frame after 3: video")


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        (fake_clip(), {"name": "b"}, "pass `name` with a path or arrays"),
        (fake_clip(), {"fps": 10.0}, "pass `fps` with arrays only"),
        ("clip.mp4", {"fps": 10.0}, "pass `fps` with arrays only"),
    ],
)
def test_a_name_or_a_rate_is_not_passed_over_in_silence(source: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        analyse(source, analyser=FakeAnalyser(), **given)
