"""Compiled networks are kept for the user alone, within bounds, and never trusted blindly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from openvino import Type, opset13

from streamer.backends import Runner
from streamer.backends._compiled_cache import CompiledCache, _processor, compiled_key
from streamer.backends.openvino import OpenVinoBackend
from streamer.errors import WeightsError

_GREY = np.random.default_rng(0).integers(0, 256, (1, 32, 32), np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


@dataclass
class Files:
    """A published network whose output is checked on the first of its pixels."""

    path: Path
    digest: str
    expected: float
    checks: list[float] = field(default_factory=list)

    def check_files(self) -> None:
        pass

    def check_output(self, runner: Runner) -> None:
        self.checks.append(float(runner(_GREY)[0, 0, 0]))
        if self.checks[-1] != self.expected:
            raise WeightsError("it computes something else")

    def prepare(self, model: object) -> None:
        """Nothing to change."""

    def part_of(self, runner: Runner) -> Runner:
        return runner


def network(folder: Path, factor: float, name: str = "network") -> Files:
    """Files of a network that multiplies by `factor`."""
    grey = opset13.parameter([1, 32, 32], Type.u8)
    product = opset13.multiply(opset13.convert(grey, "f32"), np.float32(factor))
    path = folder / f"{name}.xml"
    openvino.save_model(openvino.Model([product], [grey]), path, compress_to_fp16=False)
    return Files(path, f"times {factor}", factor * float(_GREY[0, 0, 0]))


def output(files: Files) -> npt.NDArray[np.float32]:
    return OpenVinoBackend(1).checked(files)(_GREY)


def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each network that is compiled from its files."""
    noted: list[str] = []
    original = OpenVinoBackend._compiled

    def note(backend: OpenVinoBackend, path: Path, views: int, prepare: Callable[[Any], None] | None = None) -> object:
        noted.append(path.stem)
        return original(backend, path, views, prepare)

    monkeypatch.setattr(OpenVinoBackend, "_compiled", note)
    return noted


def test_the_second_start_compiles_nothing_and_gives_the_same_bits(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, noted = network(tmp_path, 0.1), compiled(monkeypatch)
    first, second = output(files), output(files)
    assert noted == ["network"]
    assert len(files.checks) == 2  # what comes out of the cache passes the same check
    np.testing.assert_array_equal(first, second)
    (kept,) = cache.iterdir()
    assert cache.stat().st_mode & 0o777 == 0o700
    assert OpenVinoBackend(2).checked(files)(_GREY).sum() == first.sum()  # for any number of threads
    assert [*cache.iterdir()] == [kept]


def test_other_files_are_another_network(tmp_path: Path, cache: Path) -> None:
    assert output(network(tmp_path, 2.0)).sum() * 2 == output(network(tmp_path, 4.0)).sum()
    assert len([*cache.iterdir()]) == 2


@pytest.mark.parametrize("damage", ["empty", "cut short", "flipped", "no network"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    files, noted = network(tmp_path, 3.0), compiled(monkeypatch)
    first = output(files)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    if damage == "no network":  # whole by its checksum
        CompiledCache(cache).put(kept.stem, b"something else")
    else:
        spoilt = {"empty": b"", "cut short": whole[:-9], "flipped": whole[:-1] + bytes([whole[-1] ^ 1])}
        kept.write_bytes(spoilt[damage])
    np.testing.assert_array_equal(output(files), first)
    np.testing.assert_array_equal(output(files), first)
    assert noted == ["network", "network"]  # the third came out of the cache


def test_an_entry_that_computes_something_else_is_made_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = network(tmp_path, 5.0, "right"), network(tmp_path, 6.0, "wrong")
    output(wrong)
    (stolen,) = cache.iterdir()
    stolen.rename(stolen.with_name("stolen"))
    output(right)
    (kept,) = cache.glob("*.compiled")
    (cache / "stolen").replace(kept)
    noted = compiled(monkeypatch)
    assert output(right)[0, 0, 0] == right.expected
    assert noted == ["right"]


def test_a_home_that_cannot_be_written_costs_the_compilation_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "file"))
    files = network(tmp_path, 7.0)
    np.testing.assert_array_equal(output(files), output(files))
    assert (tmp_path / "file").read_text() == ""


def test_what_others_may_write_to_is_not_read(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path / "cache")
    cache.put("key", b"network")
    assert cache.get("key") == b"network"
    (tmp_path / "cache").chmod(0o770)
    assert cache.get("key") is None
    cache.put("another", b"network")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key.compiled"]


def test_what_another_user_owns_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = CompiledCache(tmp_path / "cache")
    cache.put("key", b"network")
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "cache").stat().st_uid + 1)
    assert cache.get("key") is None


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path, max_bytes=200)
    for number, key in enumerate(("old", "used", "new")):
        cache.put(key, bytes(30))
        os.utime(tmp_path / f"{key}.compiled", (number, number))
    assert cache.get("used") == cache.get("old") == bytes(30)
    os.utime(tmp_path / "new.compiled", (0, 0))
    cache.put("newest", bytes(30))
    assert {path.stem for path in tmp_path.iterdir()} == {"old", "used", "newest"}
    cache.put("huge", bytes(300))
    assert cache.get("huge") is None
    assert cache.get("newest") == bytes(30)


def test_the_key_tells_networks_settings_and_processors_apart(tmp_path: Path) -> None:
    keys = {compiled_key("a", {"views": 1}), compiled_key("b", {"views": 1}), compiled_key("a", {"views": 2})}
    assert len(keys) == 3
    assert compiled_key("a", {"x": 1, "y": 2}) == compiled_key("a", {"y": 2, "x": 1})
    here, there = tmp_path / "here", tmp_path / "there"
    here.write_text("model name : EPYC\ncpu MHz : 2000\nflags : avx2\n")
    there.write_text("model name : EPYC\ncpu MHz : 2100\nflags : avx2 avx512f\n")
    assert _processor(here) == "model name : EPYC\nflags : avx2"
    assert _processor(here) != _processor(there)
    assert _processor(tmp_path / "absent")
