"""A coverage-guided fuzzer (atheris) over the parsers of our own: each takes any bytes, or says no in one line.

`python -m tests.torture.fuzz TARGET SECONDS FOLDER` runs one; `fuzz_parsers` runs all, each in a process of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.torture.outcome import Outcome

_SEEDS = {
    "configuration": [
        b"detection: {confidence: 0.5}\nruntime:\n  device: cpu\n", b"a: &a [1]\nb: *a\n", b"outputs: [frames]\n",
    ],
    "manifest": [b"image,group,malignant,box\na.png,g1,1,1 2 30 40\n", b"image,patient,split\na.png,p,train\n"],
    "json lines": [
        b'{"schema_version": "2.0", "video": "a", "frame": 0, "time_s": 0.0, "nodules": []}\n', b"{}", b"[[[[",
    ],
    "report": [b'{"schema_version": "2.0", "videos": [], "nodules": []}'],
    "app requests": [
        b'["pull", ["t", 0, [0], [true, true, true, 0.5], 0]]', b'["start", [["/a"], "P"]]',
        b'["frame", ["t", "QUJD", 1.5]]'],
}  # fmt: skip


def fuzz_parsers(minutes: float) -> Outcome:
    """Fuzz each parser for its share of the time."""
    outcome, executions = Outcome(name="fuzzing of our own parsers (atheris)"), 0
    for target in _SEEDS:
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            seconds = max(1, int(60 * minutes / len(_SEEDS)))
            command = [sys.executable, "-m", "tests.torture.fuzz", target, str(seconds), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.findall(r"(?:stat::number_of_executed_units:\s*|Done )(\d+)", done.stderr)
        ran = int(found[-1]) if found else 0
        executions += ran
        tail = " | ".join(line for line in done.stderr.splitlines() if "Error" in line or "ERROR" in line)[-400:]
        outcome.add(
            f"{target}: {ran} inputs", f"{target}: exit code {done.returncode}: {tail}" if done.returncode else ""
        )
    outcome.notes["inputs"] = str(executions)
    outcome.end()
    return outcome


def _parsers(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """What is fuzzed, by name."""
    import atheris

    with atheris.instrument_imports(include=["streamer"]):
        from streamer.data.csv_manifest import read_csv_manifest
        from streamer.outputs.schema import read_frames, read_report
        from streamer.settings import load_settings

    def of_file(name: str, parse: Callable[[Path], object]) -> Callable[[bytes], object]:
        def given(data: bytes) -> object:
            path = folder / name
            path.write_bytes(data)
            return parse(path)

        return given

    return {
        "configuration": of_file("a.yaml", load_settings),
        "manifest": of_file("a.csv", read_csv_manifest),
        "json lines": of_file("a.jsonl", lambda path: list(read_frames(path))),
        "report": of_file("a.json", read_report),
        "app requests": _app_request(folder),
    }


def _app_request(folder: Path) -> Callable[[bytes], object]:
    """One request after the other to one app, as the page's JSON brings them."""
    import asyncio
    import json
    from types import SimpleNamespace
    from typing import Any

    from streamer.app.api import Answers
    from streamer.app.demo_clip import DemoClip
    from streamer.app.jobs import Jobs
    from tests.app.held_engine import HeldEngine

    jobs = Jobs(HeldEngine().as_engine(), folder)
    functions: dict[str, Any] = {
        function.__name__: function
        for function in Answers(jobs, folder, DemoClip(folder / "demo.mp4")).functions()
        if function.__name__ not in ("demo", "recorded")  # these work for seconds
    }

    async def body() -> dict[str, str]:
        return {"session_hash": "s"}

    def given(data: bytes) -> object:
        try:
            question, values = json.loads(data)
            function = functions[question]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        answer = asyncio.run(function(values, SimpleNamespace(json=body)))
        json.dumps(answer)
        return answer

    return given


def _fuzz(target: str, seconds: int, folder: Path) -> None:
    import atheris

    from streamer.errors import StreamerError

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(_SEEDS[target]):
        (corpus / str(number)).write_bytes(seed)
    parse = _parsers(folder)[target]

    def once(data: bytes) -> None:
        try:
            parse(data)
        except StreamerError as error:
            message = str(error)
            if "\n" in message or len(message) > 1000:
                raise AssertionError(f"not one line: {message[:200]!r}") from error

    options = [
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-rss_limit_mb=3000",
        "-max_len=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={tempfile.gettempdir()}/torture-", str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
