"""report.html needs nothing but itself, escapes what users typed, and invents no probability."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from streamer.outputs.overlay import percent
from streamer.outputs.report_html import render_html
from streamer.outputs.report_json import frame_line, report
from streamer.outputs.schema import Report
from streamer.outputs.timeline import Curve, read_curves, ticks_s, timeline_svg
from streamer.summaries import StudyReport
from streamer.types import SizeMm
from tests.outputs.study_example import example_clip, frame_result, nodule, study_report, track

SVG = "{http://www.w3.org/2000/svg}"
_OUTSIDE = re.compile(r"https?:|//[a-z]|<script|<link|@import|url\(", re.IGNORECASE)


def content(study: StudyReport, warnings: tuple[str, ...] = ()) -> Report:
    return report(
        study,
        created=datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
        overlays={"sweep.mp4": "overlay.mp4"},
        images={1: "nodule-001.png"},
        warnings={"sweep.mp4": warnings},
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "nodule-001.png"
    path.write_bytes(cv2.imencode(".png", np.full((60, 1600, 3), 90, np.uint8))[1].tobytes())
    return path


def test_page_is_self_contained(picture: Path) -> None:
    summary = replace(study_report(track()), warnings=("fp32 runs instead of int8",))
    study = content(summary, warnings=("the last row is repeated",))
    page = render_html(study, {1: picture}, timeline_svg(study, {1: [(0.1, 0.2), (0.16, 0.75)]}))
    without_data = re.sub(r'"data:[^"]+"', '""', page)
    assert not _OUTSIDE.search(without_data)
    for needed in ("Malignant", "75.0&nbsp;%", "65.0&nbsp;%", "37.5&nbsp;%", "P-7", "a" * 64, "fp32", "overlay.mp4"):
        assert needed in page
    assert "the last row is repeated" in page
    assert "fp32 runs instead of int8" in page
    assert "Research use only" in page
    assert "Partial result" not in page
    assert page.count("<img") == page.count("alt=") == 2


@pytest.mark.parametrize(("rejected", "heading"), [(6, "No nodule"), (7, "No view of the neck")])
def test_where_most_frames_are_rejected_the_page_says_why(rejected: int, heading: str) -> None:
    study = study_report(frames=12)
    (clip,) = study.videos
    clip = replace(clip, rejections={"probe in the air": rejected})
    made = content(replace(study, videos=(clip,)))
    page = render_html(made, {}, timeline_svg(made, {}))
    assert made.videos[0].rejections == {"probe in the air": rejected}
    assert heading in page
    assert (f"{rejected} frames (probe in the air)" in page) == (rejected > 6)


def words(page: str) -> str:
    """What is read on the page, in one line."""
    body = page[page.index("<main>") :].replace("&nbsp;", " ")
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.mark.parametrize(
    ("decides", "heading", "why"),
    [
        (True, "Malignant", "Nodule 1 decides: its maximum of 48.0 % is at or above 42.4 %, the threshold for"),
        (
            False,
            "Undecided",
            "seen too briefly to be called malignant or benign. Its maximum of 48.0 % is at or above 42.4 %",
        ),
    ],
)
def test_a_maximum_stands_beside_the_threshold_it_was_held_against(
    decides: bool, heading: str, why: str, picture: Path
) -> None:
    deciding = replace(track(1, malignancy=0.48), threshold=0.424, decides=decides)
    higher = replace(track(2, malignancy=0.483), threshold=0.52, decides=True, supporting_frames=30)
    study = replace(study_report(deciding, higher), decision="malignant" if decides else "undecided")
    page = render_html(content(study), {1: picture, 2: picture}, None)
    said = words(page)
    assert re.findall(r"Nodule (\d), 4", said) == ["1", "2"]  # the picture of what decides comes first
    assert f"Decision of the model {heading} " in said
    assert why in said
    assert "The patient's maximum is nodule 2's, which is below the threshold for its 30 frames." in said
    assert "Maximum malignancy over the patient's nodules 48.3 % Nodule 1: 48.0 % threshold 42.4 % 0 %" in said
    assert f'class="fill {heading.lower()}" style="width: 48.00%"' in page
    assert "sweep.mp4 48.3 % 52.0 % benign 24.1 %" in said
    assert f"sweep.mp4 48.0 % 42.4 % {'malignant' if decides else 'seen too briefly'} 24.0 %" in said


def test_the_unit_of_sizes_is_named_where_it_is_pixels() -> None:
    plain = track(1)
    size = SizeMm(long_axis_mm=2.4, short_axis_mm=1.6, area_mm2=2.0)
    measured = replace(plain, key_nodule=replace(plain.key_nodule, size_mm=size))
    second = replace(measured, track_id=2)
    for tracks, note in (
        ((plain,), "those of the key frame, in source pixels."),
        ((measured,), "those of the key frame."),
        ((plain, second), "those of the key frame, in source pixels where the scale is unknown."),
    ):
        assert note in words(render_html(content(study_report(*tracks)), {}, None))


def test_user_text_is_escaped(picture: Path) -> None:
    clip = example_clip(name='<img src=x onerror="alert(1)">')
    study = content(study_report(track(video=clip.name), patient="<script>alert(1)</script>", clips=(clip,)))
    page = render_html(study, {1: picture}, timeline_svg(study, {1: [(0.1, 0.2)]}))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<img src=x" not in page


def test_no_nodule_means_no_probability() -> None:
    page = render_html(content(study_report()), {}, None)
    assert "No nodule" in page
    assert "no probability to report" in re.sub(r"\s+", " ", page)
    main = page[page.index("<main>") :]
    assert "&nbsp;%" not in main


def test_brief_findings_are_mentioned() -> None:
    page = render_html(content(study_report(track(qualifies=False))), {}, None)
    assert "1 brief finding did not last long enough" in re.sub(r"\s+", " ", page)


def test_partial_result_is_marked() -> None:
    assert "Partial result" in render_html(content(study_report(complete=False)), {}, None)


@pytest.mark.parametrize("name", ["a$b_c^.mp4", "100%{x}", "超音波.mp4", "<b>&\"'.mp4"])
def test_plot_takes_any_clip_name(name: str) -> None:
    clips = (example_clip(name=name), example_clip(name="other"))
    study = content(study_report(track(video=name), track(2, video="other", qualifies=False), clips=clips))
    curves: dict[int, Curve] = {1: [(0.0, 0.1), (0.2, 0.4)], 2: [(0.1, 0.3)]}
    assert {name, "other"} <= set(texts(timeline_svg(study, curves)))


def texts(svg: bytes) -> list[str]:
    """All text of a picture, which must be whole XML."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_each_nodule_is_a_line_of_its_colour_through_its_points() -> None:
    study = content(study_report(track(), track(2, qualifies=False), track(3, qualifies=False)))
    curves: dict[int, Curve] = {1: [(0.1, 0.25), (0.16, 0.75)], 2: [(0.1, 0.0), (0.2, 0.5)], 3: [(0.2, 0.5)]}
    picture = ElementTree.fromstring(timeline_svg(study, curves))
    lines = {line.get("stroke"): _points(line) for line in picture.iter(f"{SVG}polyline")}
    assert list(lines) == ["#98a4af", "#3a4650", "#56b4e9"]  # brief findings below those that count
    left, right = lines["#56b4e9"]
    brief = lines["#98a4af"]
    assert left[0] == brief[0][0]
    assert left[0] < right[0] < brief[1][0]
    y_of = dict(zip((0.25, 0.75, 0.0, 0.5), (left[1], right[1], brief[0][1], brief[1][1]), strict=True))
    assert y_of[0.0] - y_of[0.25] == pytest.approx(y_of[0.5] - y_of[0.75], abs=0.02)
    assert y_of[0.0] > y_of[0.25] > y_of[0.5] > y_of[0.75]
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in picture.iter(f"{SVG}circle")]
    assert dots == [brief[1], right]  # a finding of a single frame; the key frame
    assert "#1" in texts(timeline_svg(study, curves))
    assert "#2" not in texts(timeline_svg(study, curves))


def _points(line: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (point.split(",") for point in line.get("points", "").split())
    return [(float(x), float(y)) for x, y in pairs]


@pytest.mark.parametrize("span_s", [0.1, 0.4, 1.0, 2.3, 9.99, 59.0, 3600.0])
def test_times_are_named_at_round_numbers(span_s: float) -> None:
    ticks = ticks_s(span_s)
    assert 4 <= len(ticks) <= 10
    assert ticks[0] == 0
    assert ticks[-1] <= span_s
    assert f"{ticks[1]:e}"[0] in "125"


def test_long_clip_is_thinned_and_keeps_its_maximum() -> None:
    frames = 20_000
    lines = (
        frame_line(frame_result(index, nodule(malignancy=0.99 if index == 12_345 else 0.2))) for index in range(frames)
    )
    curve = read_curves(lines, {"sweep.mp4": frames})[1]
    assert len(curve) == 1500
    assert max(curve, key=lambda point: point[1]) == (12_345 / 25, 0.99)
    assert curve == sorted(curve)


def test_the_plot_names_the_threshold_it_draws() -> None:
    """That on a still: a nodule of many frames has one of its own, which the text above gives."""
    study = content(replace(study_report(track()), threshold=0.341))
    svg = timeline_svg(study, {1: [(0.1, 0.341), (0.2, 0.341)]})
    assert "threshold on a still 34.1 %" in texts(svg)
    half = replace(study_report(track()), threshold=0.3165)  # rounded in the plot as in the text above it
    assert "threshold on a still 31.7 %" in texts(timeline_svg(content(half), {1: [(0.1, 0.3)]}))
    assert percent(0.3165, 1) == "31.7 %"
    (dashed,) = (path for path in ElementTree.fromstring(svg).iter(f"{SVG}path") if path.get("stroke-dasharray"))
    curve = next(ElementTree.fromstring(svg).iter(f"{SVG}polyline"))
    assert float((dashed.get("d") or "").split("H")[0].split()[1]) == _points(curve)[0][1]
