"""The cells of the matrix of train and test sources, and the learning curve."""

import pytest

from streamer.evaluation.detector import detect
from streamer.evaluation.matrix import cell_text, detector_cells, learning_curves, matrix_row, row_text, segmenter_cells
from streamer.evaluation.result import Matrix, MatrixRow, Result
from streamer.evaluation.segmenter import outline_true_boxes
from streamer.metrics.estimate import Figure
from streamer.models.weights_manifest import ModelEntry, SourceAmount
from tests.evaluation.pictures import DARK, bright_detector, bright_segmenter, picture
from tests.random_weights import entry

BOX = (20.0, 10.0, 52.0, 42.0)


def test_detector_cells_leave_sources_without_nodules_out() -> None:
    pictures = [
        picture((BOX,), group="a"),
        picture((BOX,), group="b", level=DARK),  # missed
        picture((), group="c", source="healthy"),
        picture((BOX,), group="d", source="there"),
    ]
    cells = detector_cells([detect(one, bright_detector(), "val") for one in pictures])
    values = {(cell.name, cell.data): cell.figure.value for cell in cells}
    assert values == {
        ("AP50", "here"): 0.5,
        ("sensitivity at 0.5 false positives an image", "here"): 0.5,
        ("AP50", "there"): 1.0,
        ("sensitivity at 0.5 false positives an image", "there"): 1.0,
    }


def test_segmenter_cells_need_no_detector() -> None:
    nodules = outline_true_boxes(picture((BOX,)), bright_segmenter(), "val")
    (cell,) = segmenter_cells(nodules)
    assert cell.figure.value > 0.97
    assert (cell.data, cell.figure.count) == ("here", 1)


def run(limit: int | None, *, epochs: int = 3, leave_out: str | None = None) -> ModelEntry:
    """A run on so many images of "here", and all of "there"."""
    one = entry("detector", "0")
    config = {"sources": {"here": {"limit": limit}, "there": {}}, "epochs": epochs, "leave_out": leave_out}
    data = {
        "here": SourceAmount(images=limit or 0, groups=limit or 0),
        "there": SourceAmount(images=0),
        "phantom": SourceAmount(images=60, simulated=True),
    }
    return one.model_copy(update={"training": one.training.model_copy(update={"config": config, "data": data})})


def row(name: str, one: ModelEntry, value: float) -> MatrixRow:
    figure = Figure(value=value, low=value - 0.1, high=value + 0.1, count=9, clusters=3, method="by hand")
    cell = Result(name="AP50", figure=figure, data="here", split="val", count_of="images", clusters_of="cases")
    return matrix_row(name, one, [cell], ["there"])


def test_a_row_says_what_it_was_trained_on_and_what_was_left_out() -> None:
    one = row("run", run(20, leave_out="source=there"), 0.5)
    assert row_text(one) == "here + phantom, without source=there: 20 images of 20 patients (run)"
    assert cell_text(one, "AP50", "here") == "0.500 (0.400 to 0.600), 9 images of 3 cases"
    assert cell_text(one, "AP50", "there") == "-"


@pytest.mark.parametrize(
    ("runs", "curves"),
    [
        ([run(10), run(40), run(20)], ["learning-curve-ap50"]),
        ([run(10), run(40)], []),  # two points are no curve
        ([run(10), run(40), run(20, epochs=4)], []),  # another recipe
        ([run(10), run(40), run(40)], []),  # the same amount twice
    ],
)
def test_runs_that_differ_in_their_amount_only_make_a_learning_curve(runs: list[ModelEntry], curves: list[str]) -> None:
    matrix = Matrix(rows=tuple(row(str(number), one, 0.5) for number, one in enumerate(runs)))
    plots = learning_curves(matrix, [one.training.config for one in runs])
    assert list(plots) == curves
    for plot in plots.values():
        assert plot.axes[0].lines[0].get_xdata().tolist() == [10, 20, 40]  # type: ignore[union-attr]
