"""What an evaluation yields: named figures, plots and notes, ready to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.figure import Figure as Plot

from streamer.metrics.calibration import Scaling
from streamer.metrics.estimate import Figure
from streamer.models.weights_manifest import SweepSpread


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
    """What was chosen on held-out data and may be stored with a network's weights.

    Attributes:
        operating_point: the detector's confidence, or the probability from which a nodule is called malignant.
        source: data, split, number of images, and how it was chosen.
        scaling: calibration of the classifier; None for the detector.
        prevalence: share of malignant nodules that the calibration holds for; None for the detector.
    """

    operating_point: float
    source: str
    scaling: Scaling | None = None
    prevalence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One set of weights, tested on every source.

    Attributes:
        weights: name of their folder.
        trained_on: sources they have seen.
        left_out: what was left out of the training on purpose; empty if nothing is recorded.
        images, groups: size of the training set, without simulated images.
        unit: what a group is, "group" where the sources differ.
        cells: a result a measure and test source.
        external: test sources that the weights have never seen; they count whole, others their held-out part.
    """

    weights: str
    trained_on: tuple[str, ...]
    left_out: str
    images: int
    groups: int
    unit: str
    cells: tuple[Result, ...]
    external: frozenset[str]

    def cell(self, measure: str, source: str) -> Result | None:
        """The result of a measure on a source, if there is one."""
        return next((cell for cell in self.cells if (cell.name, cell.data) == (measure, source)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Train source by test source, in the form of Tables 3 to 5 of Radiology 2023;307(5):e221157."""

    rows: tuple[MatrixRow, ...]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures in the cells."""
        return tuple(dict.fromkeys(cell.name for row in self.rows for cell in row.cells))

    @property
    def sources(self) -> tuple[str, ...]:
        """Test sources in the cells."""
        return tuple(dict.fromkeys(cell.data for row in self.rows for cell in row.cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as a publication would print it.

    Attributes:
        title: its heading.
        caption: what the columns mean, and how intervals and tests were made.
        columns: headings; the first is that of the rows.
        rows: the cells, a row each, the first the row's heading.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The outcome of one evaluation.

    Attributes:
        subject: "detector", "segmenter", "classifier", "pipeline", "sweeps" or "classifier, out of fold".
        results: all figures, overall ones first.
        plots: drawing by file name without suffix.
        settings: thresholds and the like that the figures depend on, by name.
        notes: what a reader of the figures must know, a sentence each.
        chosen: calibration and operating point found on the way.
        sweep: how the classifier's readings vary within a sweep, found on the way.
        matrix: main figures by weights and test source; None for the pipeline and for folds.
        tables: tables in a publication's form, shown before the figures.
        mark: what must stand on every table and figure, for example that the images are simulated; may be empty.
        captions: what stands below a drawing, by its name; the name itself where there is none.
    """

    subject: str
    results: tuple[Result, ...]
    plots: Mapping[str, Plot]
    settings: Mapping[str, str]
    notes: tuple[str, ...]
    chosen: Chosen | None = field(default=None)
    matrix: Matrix | None = field(default=None)
    sweep: SweepSpread | None = field(default=None)
    tables: tuple[Table, ...] = ()
    mark: str = ""
    captions: Mapping[str, str] = field(default_factory=dict)
