"""Damaged inputs: each gives results or one line, and neither a crash, nor a hang, nor memory without bounds."""

from __future__ import annotations

import io
import multiprocessing
import random
import shutil
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image as PillowImage

from tests.sources.media import numbered_image, write_clip
from tests.torture.outcome import Outcome, residue

_PATIENCE_S = 60.0
_MEMORY_MIB = 2048
_VIDEOS = {
    "mp4": "libx264", "mov": "mpeg4", "avi": "mpeg4", "mkv": "libx264", "mpeg": "mpeg2video", "ts": "mpeg2video",
    "wmv": "wmv2", "flv": "flv1", "gif": "gif",
}  # fmt: skip
_STILLS = ("jpg", "png", "tiff", "heic", "webp", "bmp")


def damage_inputs(count: int, *, seed: int = 0) -> Outcome:
    """Analyse `count` damaged files, one after the other, each in a process that may die of it."""
    chance, outcome = random.Random(seed), Outcome(name="damaged inputs")
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        whole = _whole_files(Path(folder))
        kinds: list[Callable[..., bytes]] = [_cut, _flipped, _index_damaged, _spliced, _garbage]
        worker = _Worker(Path(folder) / "out")
        try:
            for number in range(count):
                (name, content), (_, other) = chance.choice(whole), chance.choice(whole)
                kind = chance.choice(kinds)
                path = Path(folder) / f"damaged{Path(name).suffix}"
                path.write_bytes(kind(content, other, chance))
                how, failure = worker.analyse(path)
                label = f"{name} {kind.__name__.strip('_')}, trial {number} of seed {seed}: {failure}"
                outcome.add(how, label if failure else "")
                if failure:
                    shutil.copy(path, Path(tempfile.gettempdir()) / f"torture-failed-{seed}-{number}{path.suffix}")
        finally:
            worker.close()
    outcome.notes["peak memory of the analysing process"] = f"{worker.peak_mib:.0f} MiB"
    outcome.end()
    return outcome


def _whole_files(folder: Path) -> list[tuple[str, bytes]]:
    files: list[tuple[str, bytes]] = []
    for suffix, codec in _VIDEOS.items():
        pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        path = write_clip(folder / f"whole.{suffix}", codec=codec, pix_fmt=pix_fmt, frames=20)
        files.append((path.name, path.read_bytes()))
    pictures = [PillowImage.fromarray(numbered_image(number, width=160, height=120)) for number in range(3)]
    for suffix in _STILLS:
        data = io.BytesIO()
        if suffix == "heic":
            pillow_heif.from_pillow(pictures[0]).save(data, quality=80)
        elif suffix in ("tiff", "webp"):
            pictures[0].save(data, format=suffix, save_all=True, append_images=pictures[1:])
        else:
            pictures[0].save(data, format={"jpg": "jpeg"}.get(suffix, suffix))
        files.append((f"whole.{suffix}", data.getvalue()))
    return files


def _cut(content: bytes, _: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _flipped(content: bytes, _: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _bit in range(chance.choice((1, 10, 100, 1000))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _index_damaged(content: bytes, _: bytes, chance: random.Random) -> bytes:
    """Numbers at the head or the end, where containers keep their tables, become others."""
    data = bytearray(content)
    for _number in range(chance.choice((1, 5, 20))):
        at = chance.randrange(min(len(data), 2048))
        at = len(data) - 1 - at if chance.random() < 0.5 else at
        wild = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", chance.randbytes(4)))
        data[at : at + 4] = wild
    return bytes(data[: len(content)])


def _spliced(content: bytes, other: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))] + other[chance.randrange(len(other)) :]


def _garbage(content: bytes, _: bytes, chance: random.Random) -> bytes:
    return content[: chance.choice((0, 4, 16, 64, 512))] + chance.randbytes(chance.choice((0, 10, 1000, 100_000)))


class _Worker:
    """A process that analyses what it is given; a new one where it died or had to be killed."""

    def __init__(self, output: Path) -> None:
        self.peak_mib = 0.0
        self._output = output
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def analyse(self, path: Path) -> tuple[str, str]:
        """How it ended, and which promise was broken."""
        try:
            self._here.send(str(path))
            if not self._here.poll(_PATIENCE_S):
                self._end()
                self._start()
                return "hung", f"nothing for {_PATIENCE_S:g} s"
            how, failure, peak_mib = self._here.recv()
        except (EOFError, OSError):
            self._process.join(10)
            code = self._process.exitcode
            self._end()
            self._start()
            return "crashed", f"the process died ({code})"
        if peak_mib > max(_MEMORY_MIB, self.peak_mib):
            failure = failure or f"{peak_mib:.0f} MiB of memory"
        self.peak_mib = max(self.peak_mib, peak_mib)
        return how, failure

    def close(self) -> None:
        self._end()

    def _start(self) -> None:
        self._here, there = self._context.Pipe()
        self._process = self._context.Process(target=_work, args=(there, self._output), daemon=True)
        self._process.start()
        there.close()
        if not self._here.poll(600):
            raise RuntimeError("the worker did not start")
        self._here.recv()

    def _end(self) -> None:
        self._process.kill()
        self._process.join(30)
        self._here.close()


def _work(pipe: Connection, output: Path) -> None:
    """Analyse paths that come by the pipe with an engine that finds one thing in every frame."""
    import streamer
    from streamer.benchmark.machine import peak_host_memory_mb
    from streamer.testing import FakeAnalyser

    analyser = FakeAnalyser()
    pipe.send("ready")
    while True:
        path = pipe.recv()
        failure = ""
        try:
            report = streamer.run_study([path], output, analyser=analyser)
            how = "complete" if report.complete else "in part, and said so"
            if np.isnan(report.frames_per_second):
                failure = "no rate"
        except streamer.StreamerError as error:
            how = "refused in one line"
            failure = "" if "\n" not in str(error) and len(str(error)) < 500 else f"not one line: {str(error)[:200]!r}"
        except BaseException as error:
            how, failure = "failed", f"{type(error).__name__}: {error}"[:200]
        failure = failure or (f"left {residue(output)}" if residue(output) else "")
        pipe.send((how, failure, peak_host_memory_mb()))
