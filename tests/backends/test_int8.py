"""When OpenVINO runs the int8 version of a network, and what happens where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
import pytest
from torch import nn

from streamer.backends import OpenVinoFiles, Runner, choose_backend
from streamer.backends import openvino as module
from streamer.backends.openvino import OpenVinoBackend, has_int8_instructions
from streamer.errors import DeviceError, WeightsError
from streamer.models.architectures import GreyInput
from streamer.settings import RuntimeSettings

_GREY = np.full((1, 32, 32), 100, np.uint8)


def graph(bias: float) -> nn.Module:
    """A network that gives `bias` for every input."""
    network = nn.Conv2d(3, 1, 1)
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, bias)  # type: ignore[arg-type]
    return GreyInput(network, 0.0, 1.0).eval()


@dataclass(frozen=True)
class Version:
    """An int8 version that passes the checks it is told to."""

    path: Path
    whole: bool = True
    right: bool = True

    @property
    def digest(self) -> str:
        return str(self.path)

    def check_files(self) -> None:
        if not self.whole:
            raise WeightsError("it is damaged")

    def check_output(self, runner: Runner) -> None:
        assert runner(_GREY).mean() == 8.0
        if not self.right:
            raise WeightsError("it computes something else")

    def prepare(self, model: object) -> None:
        """Nothing to change."""

    def part_of(self, runner: Runner) -> Runner:
        return runner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An OpenVINO network that gives 8 for every input: it stands for an int8 version of one that gives 32."""
    model = OpenVinoBackend(1).converted(lambda: graph(8.0), (32, 32), "eight")
    openvino.save_model(model, tmp_path / "eight.xml")
    return tmp_path / "eight.xml"


@pytest.fixture(autouse=True)
def instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_int8_instructions", lambda: True)


def given(backend: OpenVinoBackend, int8: OpenVinoFiles | None, fp32: OpenVinoFiles | None = None) -> float:
    return float(backend.load(lambda: graph(32.0), (32, 32), "thirty-two", int8, fp32)(_GREY).mean())


def test_auto_takes_int8_where_there_is_one(path: Path) -> None:
    backend = OpenVinoBackend(1)
    assert given(backend, Version(path)) == 8
    assert backend.precision == "int8"
    assert given(backend, None) == 32
    assert backend.precision == "mixed"
    assert backend.warnings == ()


def test_fp32_is_fp32(path: Path) -> None:
    backend = OpenVinoBackend(1, precision="fp32")
    assert given(backend, Version(path)) == 32
    assert (backend.precision, backend.warnings) == ("fp32", ())


@pytest.mark.parametrize(
    ("version", "complaint"),
    [
        ({"whole": False}, "it is damaged"),
        ({"right": False}, "it computes something else"),
        ({"path": Path("absent.xml")}, "cannot run absent.xml"),
    ],
)
def test_a_version_that_fails_a_check(path: Path, version: dict[str, object], complaint: str) -> None:
    failing = Version(**{"path": path, **version})  # type: ignore[arg-type]
    backend = OpenVinoBackend(1)
    assert given(backend, failing) == 32
    assert backend.precision == "fp32"
    (warning,) = backend.warnings
    assert complaint in warning
    assert warning.endswith("; fp32 runs instead")
    assert "\n" not in warning
    with pytest.raises(WeightsError, match=complaint):
        given(OpenVinoBackend(1, precision="int8"), failing)


def test_float32_files_run_where_int8_is_not_wanted_or_fails(path: Path) -> None:
    backend = OpenVinoBackend(1, precision="fp32")
    assert given(backend, None, Version(path)) == 8
    assert (backend.precision, backend.warnings) == ("fp32", ())
    backend = OpenVinoBackend(1)
    assert given(backend, Version(path, whole=False), Version(path)) == 8
    assert (backend.precision, backend.warnings) == ("fp32", ("it is damaged; fp32 runs instead",))


def test_float32_files_that_fail_a_check_are_made_anew_where_torch_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Version(path, right=False)
    backend = OpenVinoBackend(1, precision="fp32")
    assert given(backend, None, failing) == 32
    assert backend.warnings == ("it computes something else; it is converted anew instead",)
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r"^it computes something else$"):
        given(backend, None, failing)


def test_asked_for_and_absent() -> None:
    with pytest.raises(WeightsError, match="no int8 version: make it with `streamer quantise`"):
        given(OpenVinoBackend(1, precision="int8"), None)


def test_a_processor_that_is_not_made_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_int8_instructions", lambda: False)
    backend = OpenVinoBackend(1)
    assert given(backend, Version(path)) == 32
    assert backend.warnings == ()
    assert given(OpenVinoBackend(1, precision="int8"), Version(path)) == 8  # who asks for it gets it


def test_a_processor_without_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_capabilities", lambda _: ["FP32"])
    assert given(OpenVinoBackend(1), Version(path)) == 32
    with pytest.raises(DeviceError, match="no int8 arithmetic for this processor: use precision auto or fp32"):
        OpenVinoBackend(1, precision="int8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model name\t: x\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("flags\t\t: fpu avx2 avx_vnni\n", True),
        ("flags\t\t: fpu avx2\nbugs\t\t: vnni\n", True),
        ("flags\t\t: fpu sse4_1 avx\nbugs\t\t: x\n", True),
        ("flags\t\t: fpu sse4_1 sse4_2\nbugs\t\t: vnni avx2\n", False),
        ("Features\t: fp asimd asimddp\n", True),
        ("", True),
    ],
)
def test_what_linux_says_of_the_processor(text: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_int8_instructions(tmp_path / "cpuinfo") is expected


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert has_int8_instructions(tmp_path / "absent")


def test_other_backends_refuse_int8_and_ignore_its_files(path: Path) -> None:
    with pytest.raises(DeviceError, match="int8 runs on OpenVINO only"):
        choose_backend(RuntimeSettings(device="cpu", backend="torch", precision="int8", threads=1))
    backend = choose_backend(RuntimeSettings(device="cpu", backend="torch", threads=1))
    assert backend.load(lambda: graph(32.0), (32, 32), "key", Version(path))(_GREY).mean() == 32
