"""Damaged inputs: each gives results or one line, and neither a crash, nor a hang, nor memory without bounds.

One process reads them one after the other (or analyses them, with networks that are loaded once); another watches it.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from itertools import islice, pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import av
import numpy as np
import pillow_heif
from PIL import Image as PillowImage

from streamer.phantom import simulate
from streamer.types import Frame, Image
from tests.torture.outcome import ONE_GO, Outcome, Sitting, residue

if TYPE_CHECKING:
    from streamer.pipeline.thyroid import Engine

_PATIENCE_S = 120.0
"""A damaged file takes milliseconds; the machine may be busy with other work."""
_MEMORY_MIB = 2048
_LONGEST_MESSAGE = 500
_FRAMES, _SIZE_WH = 8, (192, 144)
_VIDEOS = {
    "mp4": "libx264", "mov": "mpeg4", "avi": "mpeg4", "mkv": "libx264", "mpeg": "mpeg2video", "gif": "gif",
    "ts": "mpeg2video", "wmv": "wmv2", "flv": "flv1", "mxf": "mpeg2video",
}  # fmt: skip
_STILLS = ("jpg", "png", "tiff", "heic", "webp", "avif", "bmp")
_PEAK = "peak memory of the reading process"
WHOLE, IN_PART, REFUSED = "read whole", "read in part, and said so", "refused in one line"


def damage_inputs(count: int, *, with_networks: bool = False, seed: int = 0, sitting: Sitting = ONE_GO) -> Outcome:
    """Read `count` damaged files, or analyse them with the published networks, as `streamer run` does.

    Kinds of files and of damage take turns, so that each pair is tried as often as the others.
    """
    outcome = Outcome(
        name="Damaged inputs, analysed" if with_networks else "Damaged inputs",
        asked="a sample of those inputs"
        if with_networks
        else "10,000 over mp4, mov, avi, mkv, mpeg, gif, jpg, png, tiff, heic: truncated, bits flipped, index damaged, "
        "spliced, garbage",
    ).go_on(sitting)
    peak_mib = float(outcome.notes.get(_PEAK, "0").split()[0])
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        whole = whole_files(Path(folder))
        kinds: list[Callable[..., bytes]] = [_cut, _flipped, _index_damaged, _spliced, _garbage]
        worker = _Worker(Path(folder) / "out", with_networks=with_networks)
        try:
            for number in range(outcome.tried, count):
                chance = random.Random(f"{seed} {number}")
                name, content = whole[number % len(whole)]
                kind = kinds[number // len(whole) % len(kinds)]
                path = Path(folder) / f"damaged{Path(name).suffix}"
                path.write_bytes(kind(content, chance.choice(whole)[1], chance))
                how, failure = worker.read(path)
                label = f"{name}, {kind.__name__.strip('_')}, input {number} of seed {seed}: {failure}"
                outcome.add(how, label if failure else "", group=path.suffix[1:])
                if failure:
                    shutil.copy(path, Path(tempfile.gettempdir()) / f"torture-failed-{seed}-{number}{path.suffix}")
                if outcome.late:
                    break
        finally:
            worker.close()
    columns = (WHOLE, IN_PART, REFUSED)
    rows = [(group, *(str(ends[how]) for how in columns)) for group, ends in outcome.by_group.items()]
    outcome.table = [("format", *columns), *rows]
    outcome.done = (
        f"{outcome.tried} {'analysed with the published networks' if with_networks else 'read to their ends'}"
    )
    outcome.notes[_PEAK] = f"{max(peak_mib, worker.peak_mib):.0f} MiB"
    outcome.notes["open files of the reading process"] = worker.open_files
    outcome.end()
    return outcome


def whole_files(folder: Path) -> list[tuple[str, bytes]]:
    """A sound file of each kind, of pictures of the phantom: its name and content."""
    width, height = _SIZE_WH
    frames = [one.image for one in islice(simulate(frames=60, width=width, height=height), 26, 26 + _FRAMES)]
    files: list[tuple[str, bytes]] = []
    for suffix, codec in _VIDEOS.items():
        path = folder / f"whole.{suffix}"
        _encode(path, codec, frames)
        files.append((path.name, path.read_bytes()))
    pictures = [PillowImage.fromarray(image) for image in frames[:3]]
    for suffix in _STILLS:
        data = io.BytesIO()
        if suffix == "heic":
            pillow_heif.from_pillow(pictures[0]).save(data, quality=80)
        elif suffix in ("tiff", "webp", "avif"):
            pictures[0].save(data, format=suffix, save_all=True, append_images=pictures[1:])
        else:
            pictures[0].save(data, format={"jpg": "jpeg"}.get(suffix, suffix))
        files.append((f"whole.{suffix}", data.getvalue()))
    return files


def _encode(path: Path, codec: str, frames: list[Image]) -> None:
    with av.open(str(path), "w") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=25))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


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
    """A process that reads what it is given; a new one where it died or had to be killed."""

    def __init__(self, output: Path, *, with_networks: bool) -> None:
        self.peak_mib = 0.0
        self.open_files = ""
        self._output, self._with_networks = output, with_networks
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def read(self, path: Path) -> tuple[str, str]:
        """How it ended, and which promise was broken."""
        try:
            self._here.send(str(path))
            if not self._here.poll(_PATIENCE_S):
                self._end()
                self._start()
                return "hung", f"nothing for {_PATIENCE_S:g} s"
            how, failure, peak_mib, open_files = self._here.recv()
        except (EOFError, OSError):
            self._process.join(10)
            code = self._process.exitcode
            self._end()
            self._start()
            return "crashed", f"the process died ({code})"
        if peak_mib > max(_MEMORY_MIB, self.peak_mib):
            failure = failure or f"{peak_mib:.0f} MiB of memory"
        self.peak_mib = max(self.peak_mib, peak_mib)
        self.open_files = f"{self._files_at_first} at first, {open_files} at the end"
        return how, failure

    def close(self) -> None:
        self._end()

    def _start(self) -> None:
        self._here, there = self._context.Pipe()
        arguments = (there, self._output, self._with_networks)
        self._process = self._context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        there.close()
        if not self._here.poll(600):
            raise RuntimeError("the reading process did not start")
        self._files_at_first = self._here.recv()

    def _end(self) -> None:
        self._process.kill()
        self._process.join(30)
        self._here.close()


def _work(pipe: Connection, output: Path, with_networks: bool) -> None:
    """Read the paths that come by the pipe; the networks are loaded once, before the first."""
    from streamer.benchmark.machine import peak_host_memory_mb
    from streamer.pipeline.thyroid import Engine
    from streamer.settings import Settings

    engine = Engine(Settings()) if with_networks else None
    said = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
    os.dup2(said.fileno(), 2)
    pipe.send(_open_files())
    while True:
        how, failure = _tried(Path(pipe.recv()), output, engine)
        failure = failure or (f"left {residue(output)}" if residue(output) else "") or _said(said)
        pipe.send((how, failure, peak_host_memory_mb(), _open_files()))


def _said(standard_error: IO[bytes]) -> str:
    """What a library has written past us; "" for nothing."""
    standard_error.seek(0)
    text = standard_error.read().decode(errors="replace")
    standard_error.seek(0)
    standard_error.truncate()
    return f"on standard error: {text[:200]!r}" if text else ""


def _tried(path: Path, output: Path, engine: Engine | None) -> tuple[str, str]:
    """How reading, or analysing with `engine`, ended, and which promise was broken."""
    import streamer

    try:
        if engine is None:
            return _read(path)
        report = streamer.run_study([path], output, analyser=engine)
    except streamer.StreamerError as error:
        return REFUSED, _unclear(str(error))
    except BaseException as error:
        return "failed", f"{type(error).__name__}: {error}"[:200]
    said = [*report.warnings, *report.videos[0].warnings]
    return _ended(complete=report.complete, warnings=said)


def _read(path: Path) -> tuple[str, str]:
    from streamer.sources import open_source

    with open_source(path) as source:
        times_s = [_time_s(frame, number) for number, frame in enumerate(source.frames())]
        if any(one >= other for one, other in pairwise(times_s)):
            return "failed", "times do not increase"
        return _ended(complete=source.complete, warnings=[*source.warnings])


def _time_s(frame: Frame, number: int) -> float:
    """The time of a frame, which must be what a frame is to be."""
    sound = frame.image.dtype == np.uint8 and frame.image.ndim == 3 and frame.image.shape[2] == 3
    if not sound or frame.index != number or not math.isfinite(frame.time_s):
        raise AssertionError(f"frame {number}: {frame.image.shape}, index {frame.index}, at {frame.time_s} s")
    return frame.time_s


def _ended(*, complete: bool, warnings: list[str]) -> tuple[str, str]:
    unclear = next((found for found in map(_unclear, warnings) if found), "")
    if complete:
        return WHOLE, unclear
    return IN_PART, unclear or ("" if warnings else "incomplete without a word")


def _unclear(message: str) -> str:
    """What is wrong with a message; "" if it is one line of bounded length."""
    if "\n" in message or not 0 < len(message) < _LONGEST_MESSAGE or not message.isprintable():
        return f"not one line: {message[:200]!r}"
    return ""


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  # less the one that lists them
