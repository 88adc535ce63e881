"""`streamer benchmark` and `streamer benchmark app` in the terminal: a bar, tables, JSON and the page."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import typer
from rich import progress as bars
from rich.console import Console
from rich.text import Text

from streamer._format import TextTable
from streamer.app.server import warm_engine
from streamer.benchmark.app import measure
from streamer.benchmark.browser import open_browser
from streamer.benchmark.clip import write_nodules
from streamer.benchmark.page import write_page
from streamer.benchmark.render import as_text
from streamer.benchmark.result import BenchmarkResult
from streamer.benchmark.rounds import BenchmarkRun, RoundPlan
from streamer.cli.run import INTERRUPTED
from streamer.errors import OutputError
from streamer.outputs.folder import output_errors
from streamer.settings import Settings
from streamer.sources import open_source

NOTHING_MEASURED = 1


def run_benchmark(plan: RoundPlan, *, simulate: bool, json_file: Path | None, page: Path | None) -> int:
    """Measure the analysis, print the figures, and write them where asked.

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
        run = BenchmarkRun(
            plan, Path(folder), lambda text, done_s: bar.update(task, description=text, completed=done_s)
        )
        try:
            if simulate:
                clip = Path(folder) / "phantom.mp4"
                write_nodules(clip)
                run.plan = plan.on(clip)
            run.run()
        except KeyboardInterrupt:
            run.interrupted = True
        result = run.result()
    for line in run.left_out:
        messages.print(Text(f"left out: {line}", style="yellow"))
    if result is not None:
        _write(result, json_file, page)
    if run.interrupted:
        return INTERRUPTED
    return 0 if result is not None else NOTHING_MEASURED


def run_app_benchmark(settings: Settings, *, video: Path | None, seconds: float, json_file: Path | None) -> int:
    """Measure the app in a browser, print a table, and write the same as JSON.

    Args:
        settings: of the analysis.
        video: recording to show, looped or cut to `seconds`; the simulated one if None.
        seconds: length of what is shown.
        json_file: file for the figures; none if None.

    Returns:
        Exit code: 0, or 1 if nothing was shown.

    Raises:
        StreamerError: playwright or a browser is missing, or input, weights, device or output is not usable.
    """
    messages = Console(stderr=True)
    _check_writable(json_file)
    if video is not None:
        open_source(video).close()
    with (
        open_browser() as browser,
        messages.status("loading the networks (the first time on a machine takes longer)") as status,
    ):
        engine = warm_engine(settings)
        status.update("showing the clip")
        result = measure(engine, browser, video, seconds=seconds)
    if json_file is not None:
        with output_errors(json_file):
            json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    typer.echo(_app_table(result).text())
    return 0 if result["distinct_frames_shown"] else NOTHING_MEASURED


def _write(result: BenchmarkResult, json_file: Path | None, page: Path | None) -> None:
    typer.echo(as_text(result))
    if json_file is not None:
        with output_errors(json_file):
            json_file.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if page is not None and result.complete:
        write_page(result, page)


def _bar(console: Console, plan: RoundPlan) -> bars.Progress:
    return bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TextColumn(f"{{task.completed:.0f}} of {plan.measured_s:.0f} s"),
        console=console,
        transient=True,
    )


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


def _app_table(result: dict[str, Any]) -> TextTable:
    def both(name: str) -> str:
        pair = result[name]
        return "-" if pair["p50"] is None else f"{pair['p50']:.0f} / {pair['p95']:.0f} ms"

    first_ms, machine = result["first_overlay_ms"], result["machine"]
    pace = f"clip {result['clip_fps']:g}, networks {result['analysed_per_second']:.1f}"
    return TextTable(
        title=f"{result['clip']}, {result['seconds']:g} s",
        headings=("measure", "value"),
        left=frozenset({0, 1}),
        rows=[
            ("frames shown per second", f"{result['frames_shown_per_second']:.1f} ({pace})"),
            ("distinct frames shown", f"{result['distinct_frames_shown']} of {result['frames']}"),
            ("first overlay after", "-" if first_ms is None else f"{first_ms:.0f} ms"),
            ("latency p50 / p95", both("latency_ms")),
            ("answer to screen p50 / p95", both("answer_to_screen_ms")),
            ("server CPU", f"{result['server_cpu_percent']:.0f} % of one core"),
            ("networks on", f"{result['device']}, {result['precision']}"),
            ("machine", f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}"),
            ("its load before", str(result["load_average_before"])),
        ],
    )
