"""What an evaluation yields: named figures, plots and notes, ready to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.figure import Figure as Plot

from streamer.evaluation.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A figure with its name and the data behind it.

    Attributes:
        name: the measure, for example "AP50".
        figure: value, interval, counts and method.
        data: source or subset, for example "cine, 900x600 px".
        split: part of the data, for example "val".
        count_of: plural of what `figure.count` counts.
        clusters_of: plural of what `figure.clusters` counts.
    """

    name: str
    figure: Figure
    data: str
    split: str
    count_of: str
    clusters_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen on held-out data and may be stored with the classifier's weights.

    Attributes:
        temperature: divides the logits.
        operating_point: malignancy probability from which a nodule is called malignant.
        source: data, split, number of images, and how it was chosen.
    """

    temperature: float
    operating_point: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The outcome of one evaluation.

    Attributes:
        subject: "detector", "segmenter", "classifier" or "pipeline".
        results: all figures, overall ones first.
        plots: drawing by file name without suffix.
        settings: thresholds and the like that the figures depend on, by name.
        notes: what a reader of the figures must know, a sentence each.
        chosen: temperature and operating point found on the way (classifier only).
    """

    subject: str
    results: tuple[Result, ...]
    plots: Mapping[str, Plot]
    settings: Mapping[str, str]
    notes: tuple[str, ...]
    chosen: Chosen | None = field(default=None)
