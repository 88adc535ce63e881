"""Only tissue is analysed: views are cut out, findings mapped back, what lies in other modes is dropped."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from streamer.models.grad_cam import HeatMaps
from streamer.pipeline.analyser import AnalyserInfo, FrameAnalyser, FrameFindings
from streamer.pipeline.views import characterise_in_views, detect_in_views
from streamer.settings import Settings
from streamer.types import Finding, Frame, Image, NoduleHeat, ScanView


class _Bright:
    """Finds the box around what is white; keeps what it was shown."""

    settings, batch_size, workers, info = Settings(), 1, 1, AnalyserInfo(threshold=0.5)
    heat_maps: HeatMaps | None = None

    def __init__(self) -> None:
        self.shown: list[Image] = []

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        self.shown += [frame.image for frame in frames]
        return [FrameFindings(frame, self._find(frame.image), {"detect": 2.0}) for frame in frames]

    def _find(self, image: Image) -> tuple[Finding, ...]:
        if not (image[..., 0] == 255).any():
            return ()
        y, x = np.nonzero(image[..., 0] == 255)
        box = (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
        corners = np.array([[x.min(), y.min()], [x.max(), y.min()], [x.max(), y.max()]], np.int32)
        return (
            Finding(
                box_xyxy=box,
                confidence=0.9,
                malignancy=0.5,
                contour_xy=corners,
                long_axis_px=4,
                short_axis_px=3,
                area_px=12,
                heat=NoduleHeat(cells=np.zeros((2, 2), np.float32), window_xyxy=(5, -3, 35, 27)),
            ),
        )


def _frame(spots: Sequence[tuple[int, int]], *views: ScanView) -> Frame:
    image = np.full((100, 200, 3), 50, np.uint8)
    for x, y in spots:
        image[y : y + 6, x : x + 8] = 255
    return Frame(image=image, index=0, time_s=0.0, video="clip", views=views)


def analyse_views(analyser: FrameAnalyser, frames: Sequence[Frame]) -> list[FrameFindings]:
    return characterise_in_views(analyser, detect_in_views(analyser, frames))


def test_text_outside_the_region_is_never_seen_and_findings_are_in_the_frame_s_pixels() -> None:
    analyser = _Bright()
    frame = _frame([(2, 2), (60, 40)], ScanView(box_xyxy=(50, 30, 150, 90)))
    (found,) = analyse_views(analyser, [frame])
    assert analyser.shown[0].shape == (60, 100, 3)
    assert found.frame is frame
    assert len(found.findings) == 1
    finding = found.findings[0]
    assert list(finding.box_xyxy) == [60, 40, 68, 46]
    assert finding.contour_xy.tolist() == [[60, 40], [67, 40], [67, 45]]
    assert (finding.long_axis_px, finding.area_px) == (4, 12)
    assert finding.heat is not None
    assert finding.heat.window_xyxy == (55, 27, 85, 57)


def test_two_views_are_analysed_each_by_itself() -> None:
    left, right = ScanView(box_xyxy=(0, 0, 100, 100)), ScanView(box_xyxy=(100, 0, 200, 100))
    (found,) = analyse_views(_Bright(), [_frame([(20, 50), (150, 60)], left, right)])
    assert [finding.box_xyxy[0] for finding in found.findings] == [20, 150]
    assert found.timing_ms == {"detect": 4.0}


def test_frames_with_and_without_views_share_a_batch() -> None:
    analyser = _Bright()
    found = analyse_views(analyser, [_frame([(20, 50)]), _frame([(20, 50)], ScanView(box_xyxy=(100, 0, 200, 100)))])
    assert [len(one.findings) for one in found] == [1, 0]
    assert [image.shape[1] for image in analyser.shown] == [200, 100]


def test_a_hidden_part_is_black_and_nothing_is_found_in_it() -> None:
    analyser = _Bright()
    view = ScanView(box_xyxy=(0, 0, 200, 100), hidden=((40, 40, 80, 80),))
    frame = _frame([(50, 50)], view)
    (found,) = analyse_views(analyser, [frame])
    assert found.findings == ()
    assert not analyser.shown[0][40:80, 40:80].any()
    assert frame.image[50, 50, 0] == 255  # the frame itself is left as it is


def test_what_lies_mostly_in_a_hidden_part_is_dropped_what_touches_it_is_not() -> None:
    class Fixed(_Bright):
        def _find(self, image: Image) -> tuple[Finding, ...]:
            marked = np.zeros_like(image)
            marked[10:20, 30:50] = 255
            return super()._find(marked)

    for hidden, kept in (((0, 0, 35, 100), 1), ((0, 0, 45, 100), 0)):
        frame = _frame([], ScanView(box_xyxy=(0, 0, 200, 100), hidden=(hidden,)))
        (found,) = analyse_views(Fixed(), [frame])
        assert len(found.findings) == kept


def test_the_scale_is_that_of_the_view_in_which_the_box_lies() -> None:
    frame = _frame(
        [],
        ScanView(box_xyxy=(0, 0, 100, 100), spacing_mm=(0.1, 0.1)),
        ScanView(box_xyxy=(100, 0, 200, 100), spacing_mm=(0.2, 0.3)),
    )
    assert frame.spacing_at((120, 10, 140, 30)) == pytest.approx((0.2, 0.3))
    assert frame.spacing_at((20, 10, 40, 30)) == pytest.approx((0.1, 0.1))


def test_hidden_parts_of_a_view_that_lies_within_the_frame() -> None:
    analyser = _Bright()
    view = ScanView(box_xyxy=(40, 20, 160, 90), hidden=((60, 30, 90, 70),))
    frame = _frame([(70, 50), (120, 60)], view)
    (found,) = analyse_views(analyser, [frame])
    (shown,) = analyser.shown
    assert shown.shape == (70, 120, 3)
    black = np.zeros((70, 120), bool)
    black[10:50, 20:50] = True
    assert ((shown == 0).all(axis=2) == black).all()
    assert [finding.box_xyxy for finding in found.findings] == [(120, 60, 128, 66)]


@pytest.mark.parametrize(
    ("hidden", "kept"),
    [
        ((60, 30, 70, 46), True),  # beside it
        ((50, 50, 100, 90), True),  # below it
        ((50, 20, 100, 36), False),  # three quarters of it
        ((50, 20, 100, 34), True),  # half of it
        ((76, 20, 100, 60), True),  # half of it
        ((75, 20, 100, 60), False),
    ],
)
def test_a_box_counts_by_how_much_of_it_is_hidden(hidden: tuple[int, int, int, int], kept: bool) -> None:
    class Blind(_Bright):
        def _find(self, image: Image) -> tuple[Finding, ...]:
            marked = np.zeros_like(image)
            marked[10:18, 32:40] = 255  # 72 to 80, 30 to 38 in the frame
            return super()._find(marked)

    (found,) = analyse_views(Blind(), [_frame([], ScanView(box_xyxy=(40, 20, 160, 90), hidden=(hidden,)))])
    assert bool(found.findings) is kept


@pytest.mark.parametrize(("reasons", "rejected"), [(("air", "air"), "air"), (("air", ""), ""), (("", "air"), "")])
def test_a_frame_is_rejected_where_all_its_views_are(reasons: tuple[str, str], rejected: str) -> None:
    class Choosy(_Bright):
        def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
            answers = super().analyse(frames)
            return [replace(one, rejected=why) for one, why in zip(answers, reasons, strict=True)]

    left, right = ScanView(box_xyxy=(0, 0, 100, 100)), ScanView(box_xyxy=(100, 0, 200, 100))
    (found,) = analyse_views(Choosy(), [_frame([], left, right)])
    assert found.rejected == rejected


def test_stages_of_views_are_added_up_whether_or_not_both_needed_them() -> None:
    class Staged(_Bright):
        def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
            first, second = super().analyse(frames)
            return [first, replace(second, timing_ms={"detect": 1.0, "classify": 3.0})]

    left, right = ScanView(box_xyxy=(0, 0, 100, 100)), ScanView(box_xyxy=(100, 0, 200, 100))
    (found,) = analyse_views(Staged(), [_frame([], left, right)])
    assert found.timing_ms == {"classify": 3.0, "detect": 3.0}
