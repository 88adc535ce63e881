"""The public namespace: complete, importable, and what analyse takes."""

import builtins
import re
from collections.abc import Callable, Iterator
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamer
from streamer.testing import FakeAnalyser, RecordingSink, fake_clip, fake_finding

loosely: Any = streamer  # for calls that a type checker would refuse


CLIP = fake_clip()


def without_settings() -> FakeAnalyser:
    analyser = FakeAnalyser()
    analyser.__dict__["settings"] = None
    return analyser


def test_every_public_name_is_there() -> None:
    assert dir(streamer) == sorted(streamer.__all__)
    for name in streamer.__all__:
        assert getattr(streamer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = streamer.nothing


PLAIN_NAMES = {
    *("Any", "Callable", "Fraction", "Generator", "Iterable", "Iterator", "Literal", "Mapping", "Path", "Sequence"),
    *("NDArray", "Dataset", "Detections"),  # of numpy, pydicom and supervision
    *(
        "AliasChoices",
        "BoxXyxy",
        "Annotated",
        "Count",
        "CTirads",
        "Field",
        "Length",
        "Probability",
    ),  # how a number of the files is bounded
    *("Decision", "Decoder", "Deinterlacing", "Image", "Listener", "OutputName", "Plane"),  # plain values, by a name
    *("HeatMaps", "TrackedFinding"),  # of the pipeline alone
    *("LiveEntry", "ReaderEntry", "TimingEntry", "UsedModel"),  # read, never made or named
}


def annotations(thing: Any) -> Iterator[str]:
    """What a public function takes and returns, and what a public class holds, in words."""
    members = [vars(one) for one in thing.__mro__ if one.__module__.startswith("streamer")] if isclass(thing) else []
    functions = [thing, *(value for one in members for name, value in one.items() if not name.startswith("_"))]
    for one in members:
        yield from (str(text) for name, text in one.get("__annotations__", {}).items() if not name.startswith("_"))
    for function in functions:
        unwrapped = function.fget if isinstance(function, property) else function
        if isfunction(unwrapped):
            yield from map(str, unwrapped.__annotations__.values())


def test_what_a_public_name_takes_and_holds_is_public() -> None:
    """A `Capture` to open a device with, a `ScanView` for a source of one's own: nobody should search for them."""
    named = {
        word
        for name in streamer.__all__
        for text in annotations(getattr(streamer, name))
        for word in re.findall(r"\b[A-Z]\w+", re.sub(r"\".*?\"|'.*?'", "", text))
    }
    assert {"Capture", "ScanView", "TrackingSettings"} <= named
    assert sorted(named - {*streamer.__all__, *vars(builtins), *PLAIN_NAMES}) == []


def test_any_iterable_of_arrays_is_a_source() -> None:
    grey = [np.full((48, 64), 60, np.uint8)] * 6
    rgb = (np.full((48, 64, 3), 60, np.uint8) for _ in range(6))
    for images in (grey, rgb):
        results = list(streamer.analyse(images, analyser=FakeAnalyser()))
        assert [result.frame.index for result in results] == list(range(6))
        assert results[-1].patient_malignancy == 0.5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "cannot analyse a NoneType"),
        (7, "cannot analyse a int"),
        (b"clip.mp4", "cannot analyse a bytes"),
        ([], "holds no frame"),
        ([np.zeros((4, 4), np.float32)], "not float32"),
        ([np.zeros((4, 4, 4), np.uint8)], r"not \(4, 4, 4\)"),
        (["clip.mp4"], "not str"),
    ],
)
def test_what_cannot_be_analysed_is_one_line(source: object, message: str) -> None:
    with pytest.raises(streamer.InputError, match=message) as caught:
        list(streamer.analyse(source, analyser=FakeAnalyser()))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: list(loosely.analyse("clip.mp4", "fast")), "settings must be streamer.Settings.* not a str"),
        (lambda: list(loosely.analyse("clip.mp4", analyser="thyroid")), "analyser must be loaded networks"),
        (lambda: list(loosely.analyse("clip.mp4", analyser=loosely.Engine)), "not Engine"),
        (lambda: loosely.analyse_streams("a.mp4", FakeAnalyser(), on_result=print), "a list of open sources"),
        (
            lambda: loosely.analyse_streams(["a.mp4"], FakeAnalyser(), on_result=print),
            r"sources\[0\] is a str: open it",
        ),
        (lambda: loosely.run_study("a.mp4", Path("out"), analyser=FakeAnalyser()), "a list of at least one path"),
        (lambda: loosely.run_study([], Path("out"), analyser=FakeAnalyser()), "not an empty one"),
        (lambda: loosely.run_study([None], Path("out"), analyser=FakeAnalyser()), "paths, not a NoneType"),
        (lambda: loosely.run_study(["a.mp4"], None, analyser=FakeAnalyser()), "the path of a folder, not a NoneType"),
        (lambda: loosely.run_study(["a.mp4"], Path("o"), analyser=FakeAnalyser(), patient=None), "must be a text"),
        (
            lambda: loosely.run_study(["a.mp4"], Path("o"), analyser=FakeAnalyser(), sinks=RecordingSink()),
            "a list of sinks",
        ),
        (lambda: loosely.run_study(["a.mp4"], Path("o"), analyser=FakeAnalyser(), planes=["up"]), "not 'up'"),
        (
            lambda: loosely.run_study(["a.mp4"], Path("o"), analyser=FakeAnalyser(), planes="up"),
            "planes must be a list",
        ),
        (lambda: loosely.run_study(["a.mp4"], Path("o"), analyser=FakeAnalyser(), progress=print), "streamer.Progress"),
        (
            lambda: loosely.run_live(fake_clip(), Path("o"), analyser=FakeAnalyser(), progress=print),
            "streamer.Progress",
        ),
        (lambda: loosely.analyse_streams([fake_clip()], FakeAnalyser(), on_result=None), "must be functions"),
        (
            lambda: loosely.analyse_streams([CLIP, CLIP], FakeAnalyser(), on_result=print),
            r"sources\[1\] is there twice",
        ),
        (
            lambda: loosely.analyse_streams([CLIP], FakeAnalyser(), on_result=print, latency_budget_ms=float("nan")),
            "at least 0, not nan",
        ),
        (lambda: loosely.run_live("a.mp4", Path("out"), analyser=FakeAnalyser()), "source must be open"),
        (lambda: loosely.read_report(None), "a path is needed, not a NoneType"),
        (lambda: list(loosely.read_frames(7)), "a path is needed, not a int"),
        (lambda: loosely.PatientAggregator(7), "settings must be streamer.Settings"),
        (lambda: loosely.DetectorAnalyser(lambda _: [], settings="fast"), "settings must be streamer.Settings"),
        (
            lambda: loosely.analyse("a.mp4", analyser=without_settings()),
            "FakeAnalyser.settings must be .* not a NoneType",
        ),
        (lambda: loosely.open_source("a.mp4", decoder="gpu"), "decoder must be cpu or cuda, not 'gpu'"),
        (lambda: loosely.open_live("a.mp4", deinterlace="yes"), "deinterlace must be auto or on or off, not 'yes'"),
        (lambda: loosely.open_source("a.mp4", name=""), "name must not be empty"),
        (lambda: loosely.open_source("a.mp4", name=7), "name must be a text, not a int"),
        (lambda: loosely.open_live("/dev/video0", capture=7), "capture must be a Capture, not a int"),
        (lambda: loosely.open_live("a.mp4", on_event=None), "on_event must be a function"),
        (lambda: loosely.load_settings(7), "named by its path, not by a int"),
        (lambda: loosely.open_source(None), "a path or address is needed, not a NoneType"),
        (lambda: loosely.open_live(7), "a path or address is needed, not a int"),
    ],
)
def test_a_wrong_kind_of_argument_is_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(streamer.StreamerError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_one_image() -> None:
    result = streamer.analyse_image(np.full((48, 64), 60, np.uint8), analyser=FakeAnalyser())
    assert [nodule.qualifies for nodule in result.nodules] == [True]
    assert result.patient_malignancy == 0.5


def test_pixel_spacing_reaches_every_nodule_and_the_report(tmp_path: Path) -> None:
    results = list(streamer.analyse(fake_clip(), analyser=FakeAnalyser(), pixel_spacing_mm=(0.2, 0.1)))
    sizes = [nodule.size_mm for result in results for nodule in result.nodules]
    assert [size.area_mm2 for size in sizes if size is not None] == [pytest.approx(6.4)] * 10
    own = list(streamer.analyse(fake_clip(pixel_spacing_mm=(0.5, 0.5)), analyser=FakeAnalyser()))
    (nodule,) = own[0].nodules
    assert nodule.size_mm is not None
    assert nodule.size_mm.area_mm2 == pytest.approx(80)


@pytest.mark.parametrize("spacing", [(0.0, 0.1), (0.1, float("nan")), (-1.0, 1.0), (0.1,), (0.1, 0.1, 0.1)])
def test_a_spacing_that_is_none_is_refused(spacing: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="pixel_spacing_mm"):
        streamer.ClipInfo(name="a", width=4, height=4, fps=25.0, pixel_spacing_mm=spacing)
    for source in (fake_clip(), [np.zeros((48, 64), np.uint8)], "clip.mp4"):  # open, in memory, a path: told alike
        with pytest.raises(ValueError, match="pixel_spacing_mm"):
            streamer.open_source("clip.mp4", pixel_spacing_mm=spacing)
        with pytest.raises(ValueError, match="pixel_spacing_mm"):
            streamer.open_live("clip.mp4", pixel_spacing_mm=spacing)
        with pytest.raises(ValueError, match="pixel_spacing_mm"):
            next(streamer.analyse(source, analyser=FakeAnalyser(), pixel_spacing_mm=spacing))


def test_results_as_supervision_detections() -> None:
    analyser = FakeAnalyser(lambda _: (fake_finding(malignancy=0.9), fake_finding((40, 10, 60, 26), malignancy=0.1)))
    (result,) = streamer.analyse(fake_clip(frames=1), analyser=analyser)
    detections = result.to_supervision(masks=True)
    assert detections.tracker_id is not None
    assert detections.tracker_id.tolist() == [1, 2]
    assert detections.class_id is not None
    assert detections.class_id.tolist() == [1, 0]
    assert detections.mask is not None
    assert detections.mask.sum(axis=(1, 2)).tolist() == [320, 320]
    assert len(next(streamer.analyse(fake_clip(), analyser=FakeAnalyser(lambda _: ()))).to_supervision(masks=True)) == 0


def test_a_detector_of_ones_own() -> None:
    analyser = streamer.DetectorAnalyser(lambda _: [(10, 10, 30, 26, 0.9, 0.7)])
    results = list(streamer.analyse(fake_clip(), analyser=analyser))
    assert results[-1].patient_malignancy == 0.7
    bad = streamer.DetectorAnalyser(lambda _: [(10, 10, 30, 26, 0.9, 70.0)])
    with pytest.raises(ValueError, match="the last two in 0 to 1"):
        list(streamer.analyse(fake_clip(), analyser=bad))


def test_the_recording_sink_is_given_everything(tmp_path: Path) -> None:
    from streamer.phantom import simulate, write_clip

    clip = tmp_path / "clip.mp4"
    write_clip(clip, simulate(seed=0, frames=6))
    sink = RecordingSink()
    settings = streamer.Settings(outputs=("report_json",))
    report = streamer.run_study(
        [clip], tmp_path / "out", analyser=FakeAnalyser(settings=settings), sinks=[sink], pixel_spacing_mm=(0.1, 0.1)
    )
    assert ([info.name for info in sink.clips], len(sink.results)) == (["clip.mp4"], 6)
    assert sink.report is report
    assert streamer.read_report(tmp_path / "out" / "report.json").videos[0].pixel_spacing_mm == (0.1, 0.1)
