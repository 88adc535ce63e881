"""`streamer benchmark`: measure with a progress bar, print tables, write JSON and the page."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich import progress as bars
from rich.console import Console
from rich.text import Text

from streamer.benchmark.clip import write_nodules
from streamer.benchmark.page import write_page
from streamer.benchmark.result import BenchmarkResult
from streamer.benchmark.rounds import Course, Plan
from streamer.benchmark.table import tables
from streamer.cli.run import INTERRUPTED
from streamer.errors import OutputError
from streamer.outputs.folder import output_errors
from streamer.sources import open_source

NOTHING_MEASURED = 1


def run_benchmark(plan: Plan, *, simulate: bool, json_file: Path | None, page: Path | None) -> int:
    """Measure, print the figures, and write them where asked.

    Args:
        plan: what to measure.
        simulate: take a simulated clip in place of the plan's recording.
        json_file: file for the figures.
        page: Markdown file for figures and plot.

    Returns:
        Exit code: 0, 130 if stopped by Ctrl-C (what was measured until then is written), 1 if not one frame was done.

    Raises:
        StreamerError: input, weights, device, a baseline or an output is not usable.
    """
    messages = Console(stderr=True)
    for path in (json_file, page):
        _check_writable(path)
    if not simulate:
        open_source(plan.recording).close()  # a wrong path should not wait for the networks
    with tempfile.TemporaryDirectory(prefix="streamer-benchmark-") as folder, _bar(messages, plan) as bar:
        task = bar.add_task("simulating a clip" if simulate else "starting", total=plan.measured_s)
        course = Course(plan, Path(folder), lambda text, done_s: bar.update(task, description=text, completed=done_s))
        try:
            if simulate:
                course.plan = plan.on(_simulated(Path(folder)))
            course.run()
        except KeyboardInterrupt:
            course.interrupted = True
        result = course.result()
    for line in course.left_out:
        messages.print(Text(f"left out: {line}", style="yellow"))
    if result is not None:
        _give_out(result, json_file, page)
    if course.interrupted:
        return INTERRUPTED
    return 0 if result is not None else NOTHING_MEASURED


def _give_out(result: BenchmarkResult, json_file: Path | None, page: Path | None) -> None:
    Console().print(tables(result))
    if json_file is not None:
        with output_errors(json_file):
            json_file.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if page is not None and result.complete:
        write_page(result, page)


def _simulated(folder: Path) -> Path:
    clip = folder / "phantom.mp4"
    write_nodules(clip)
    return clip


def _bar(console: Console, plan: Plan) -> bars.Progress:
    columns: Sequence[bars.ProgressColumn] = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TextColumn(f"{{task.completed:.0f}} of {plan.measured_s:.0f} s"),
    )
    return bars.Progress(*columns, console=console, transient=True)


def _check_writable(path: Path | None) -> None:
    """Find out now rather than after minutes.

    Raises:
        OutputError: the folder is missing, or the file cannot be written.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent} for {path.name}: make it, or choose another")
    existed = path.exists()
    with output_errors(path), path.open("ab"):
        pass
    if not existed:
        path.unlink()
