"""The panels: one number says from when on a nodule is malignant, in words and as the chart's line."""

from types import SimpleNamespace
from typing import Any, cast

from streamer.app.summary import Summary
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.outputs.overlay import percent
from streamer.settings import Settings
from tests.outputs.study_example import track


def test_the_chart_draws_the_threshold_that_the_text_names() -> None:
    point, nodule = SweepOperatingPoint(0.34, deviation=0.5, correlation_frames=4), track()
    engine = SimpleNamespace(settings=Settings(), info=SimpleNamespace(operating_point=point))
    summary = Summary(cast(Any, engine))
    assert summary.shown["patient"]["threshold"] == point.over(1)
    seen = SimpleNamespace(
        tracks=lambda _: [nodule],
        patient_malignancy=lambda: nodule.malignancy_max,
        decision=lambda _: "malignant",
        rejections=lambda _: {},
    )
    summary.aggregator = cast(Any, seen)
    summary.start_clip(nodule.video)
    summary.end_clip()
    patient = summary.shown["patient"]
    assert patient["threshold"] == point.over(nodule.supporting_frames) != 0.34
    assert patient["threshold_text"].startswith(percent(patient["threshold"])[:2])
