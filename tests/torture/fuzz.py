"""A coverage-guided fuzzer (atheris) over the parsers of our own: each takes any bytes, or says no in one line.

`python -m tests.torture.fuzz GROUP SECONDS FOLDER` runs one group; `fuzz_parsers` runs all, each in a process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.torture.requests import page_requests

if TYPE_CHECKING:
    from tests.torture.outcome import Outcome  # which imports what is to be instrumented

Parser = Callable[[bytes], object]

_SEEDS = {
    "configuration": [
        b"detection: {confidence: 0.5}\nruntime:\n  device: cpu\n", b"a: &a [1]\nb: *a\n", b"outputs: [frames]\n",
        b"role: detector\narchitecture: yolov5n\nsources: {cine: {stride: 2}}\nepochs: 2\n",
    ],
    "manifests": [
        b"image,source,patient,label,boxes_xyxy\na.png,s,p1,malignant,1 2 30 40;3 4 5 6\nb.png,s,p2,benign,\n",
        b"image,source,patient,split,frame,age\na.mp4,s,p,train,3,40\n",
        b'{"version": 2, "models": {"detector": {"file": "a.safetensors", "sha256": "0"}}}',
    ],
    "JSON lines and reports": [
        b'{"schema_version": "2.0", "video": "a", "frame": 0, "time_s": 0.0, "nodules": []}\n', b"{}", b"[[[[",
        b'{"schema_version": "2.0", "videos": [], "nodules": []}',
    ],
    "app requests": [bytes(64), bytes(range(256)), b"\x05" * 40],
}  # fmt: skip
_SLOW_S = 5.0
"""Processor time after which an input counts as a hang; what is bounded takes milliseconds."""
_LONGEST_MESSAGE = 1000
_FIGURES = "figures.json"


def fuzz_parsers(minutes: float) -> Outcome:
    """Fuzz each group of parsers for its share of the time."""
    from tests.torture.outcome import Outcome

    outcome = Outcome(
        name="Fuzzing of our own parsers",
        asked="an hour of atheris over configuration, manifest, JSON lines and app requests",
        done=f"{minutes:g} minutes in all",
    )
    outcome.table = [("parsers", "inputs", "coverage (edges)", "processor time", "promises broken")]
    for group in _SEEDS:
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            seconds = max(1, int(60 * minutes / len(_SEEDS)))
            command = [sys.executable, "-m", "tests.torture.fuzz", group, str(seconds), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found = [path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("found-*.txt"))]
            ended = Path(folder) / _FIGURES
            figures = (
                json.loads(ended.read_text(encoding="utf-8")) if ended.exists() else {"inputs": 0, "processor_s": 0}
            )
        if done.returncode or not figures["inputs"]:
            tail = " | ".join(line for line in done.stderr.splitlines() if "rror" in line)[-400:]
            found.append(f"exit code {done.returncode}: {tail}")
        outcome.failures += [f"{group}: {line}" for line in found]
        inputs, minutes_spent = int(figures["inputs"]), float(figures["processor_s"]) / 60
        edges = re.findall(r"\bcov: (\d+)", done.stderr) or ["0"]
        outcome.tried += inputs
        outcome.table.append((group, str(inputs), edges[-1], f"{minutes_spent:.1f} min", str(len(found))))
    outcome.counts["inputs"] = outcome.tried
    outcome.end()
    return outcome


def _parsers(group: str, folder: Path) -> Parser:
    """What is fuzzed; a group of files is told apart by how its content begins."""
    import atheris

    with atheris.instrument_imports(include=["streamer"]):
        from streamer._yaml import read_yaml
        from streamer.data.csv_manifest import read_csv_manifest
        from streamer.models.weights_manifest import read_manifest
        from streamer.outputs.schema import read_frames, read_report
        from streamer.settings import load_settings, validated
        from streamer.training.config import TrainingConfig

    def configuration(path: Path) -> object:
        if path.read_bytes().startswith(b"role"):
            return validated(TrainingConfig, read_yaml(path), "a.yaml")
        return load_settings(path)

    def manifests(path: Path) -> object:
        return read_manifest(path.parent) if path.read_bytes().startswith(b"{") else read_csv_manifest(path)

    def json_lines(path: Path) -> object:
        return read_report(path) if b'"videos"' in path.read_bytes() else list(read_frames(path))

    if group == "app requests":
        return page_requests(folder)
    parse = {"configuration": configuration, "manifests": manifests, "JSON lines and reports": json_lines}[group]
    return _of_file(folder / "manifest.json", parse)


def _of_file(path: Path, parse: Callable[[Path], object]) -> Parser:
    def given(data: bytes) -> object:
        path.write_bytes(data)
        return parse(path)

    return given


class _Judge:
    """Runs a parser on one input after the other, and writes down each kind of broken promise once."""

    def __init__(self, parse: Parser, folder: Path, seconds: float) -> None:
        self._parse, self._folder = parse, folder
        self._known: set[str] = set()
        self._until_s, self._inputs = time.monotonic() + seconds, 0

    def __call__(self, data: bytes) -> None:
        began_s = time.process_time()
        try:
            self._judged(data)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            self._note(place, f"{place}: {str(error)[:200]!r}", data)
        ended_s = time.process_time()
        if ended_s - began_s > _SLOW_S:
            self._note("slow", f"{ended_s - began_s:.1f} s of processor time", data)
        self._inputs += 1
        if time.monotonic() > self._until_s:  # libFuzzer's own end would wait for the app's threads
            figures = {"inputs": self._inputs, "processor_s": ended_s}
            (self._folder / _FIGURES).write_text(json.dumps(figures), encoding="utf-8")
            os._exit(0)

    def _judged(self, data: bytes) -> None:
        from streamer.errors import StreamerError

        try:
            self._parse(data)
        except StreamerError as error:
            message = str(error)
            if "\n" in message or len(message) > _LONGEST_MESSAGE:
                raise AssertionError(f"not one line: {message[:200]!r}") from error

    def _note(self, kind: str, line: str, data: bytes) -> None:
        if kind in self._known:
            return
        self._known.add(kind)
        (self._folder / f"found-{len(self._known)}.txt").write_text(f"{line}; input {data[:300]!r}", encoding="utf-8")


def _fuzz(group: str, seconds: int, folder: Path) -> None:
    import atheris

    corpus, files = folder / "corpus", folder / "files"
    corpus.mkdir()
    files.mkdir()
    words = {word for seed in _SEEDS[group] for word in re.findall(rb"[A-Za-z_]{3,}", seed)}
    (folder / "words").write_text("".join(f'"{word.decode()}"\n' for word in sorted(words)))
    for number, seed in enumerate(_SEEDS[group]):
        (corpus / str(number)).write_bytes(seed)
    options = [
        "-timeout=300",
        "-rss_limit_mb=3000",
        "-max_len=4096",
        f"-artifact_prefix={folder}/",
    ]
    if words:
        options.append(f"-dict={folder / 'words'}")
    judge = _Judge(_parsers(group, files), folder, seconds)
    atheris.Setup([sys.argv[0], *options, str(corpus)], judge)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
