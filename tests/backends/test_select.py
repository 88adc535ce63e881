"""Which backend runs, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from streamer.backends import choose_backend, select
from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.select import _quota_cores, available_cores
from streamer.errors import DeviceError
from streamer.settings import RuntimeSettings


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)


def settings(**values: object) -> RuntimeSettings:
    return RuntimeSettings.model_validate({"threads": 1, **values})


@pytest.mark.usefixtures("no_cuda")
def test_cuda_asked_for_and_absent() -> None:
    with pytest.raises(DeviceError, match="finds no CUDA device: use --device cpu or auto"):
        choose_backend(settings(device="cuda"))


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("device", ["auto", "cpu"])
@pytest.mark.parametrize(("backend", "name"), [("auto", "OpenVINO"), ("openvino", "OpenVINO"), ("torch", "torch")])
def test_on_a_cpu(device: str, backend: str, name: str) -> None:
    chosen = choose_backend(settings(device=device, backend=backend))
    assert chosen.device.startswith(f"CPU ({name} ")
    assert chosen.precision == "fp32"
    assert chosen.batch_frames >= 1


def test_openvino_stays_on_the_cpu_where_there_is_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)
    assert choose_backend(settings(backend="openvino")).device.startswith("CPU (OpenVINO")
    with pytest.raises(DeviceError, match="backend 'openvino' runs on the CPU only"):
        choose_backend(settings(backend="openvino", device="cuda"))


@pytest.mark.usefixtures("no_cuda")
def test_threads_are_those_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        assert choose_backend(settings(threads=3)).workers == 4
        choose_backend(settings(threads=2, backend="torch"))
        assert torch.get_num_threads() == 2
        assert choose_backend(settings(threads=0)).workers == available_cores() + 1
    finally:
        torch.set_num_threads(before)


def test_torch_is_not_asked_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> str:
        pytest.fail("importing torch takes seconds")

    monkeypatch.setattr(select, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(select, "cuda_fault", asked)
    chosen = choose_backend(settings())
    assert chosen.device.startswith("CPU (OpenVINO")
    assert chosen.warnings == ()


def test_a_card_without_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(select, "find_spec", lambda _: None)
    (warning,) = choose_backend(settings()).warnings
    assert warning == (
        "CUDA needs torch, which is not installed: python -m pip install 'streamer[cuda]'; the CPU runs instead"
    )
    with pytest.raises(DeviceError, match=r"CUDA needs torch, which is not installed: .*'streamer\[cuda\]': use --dev"):
        choose_backend(settings(device="cuda"))
    with pytest.raises(DeviceError, match=r"backend 'torch' needs torch, which is not installed: .*\[cuda\]', or use"):
        choose_backend(settings(device="cpu", backend="torch"))


class _Broken:
    """A device that torch names and cannot use: full, or older than this build has kernels for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def zeros(*_: object, **__: object) -> None:
            raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nHint")

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)
        monkeypatch.setattr(torch, "zeros", zeros)


def test_the_cpu_steps_in_for_a_cuda_device_that_cannot_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        _Broken(patched)
        chosen = choose_backend(settings())
        with pytest.raises(
            DeviceError, match=r"cannot use the CUDA device \(CUDA error: no kernel image .*device\): use"
        ):
            choose_backend(settings(device="cuda"))
    assert chosen.device.startswith("CPU (OpenVINO")
    assert "the CPU runs instead" in chosen.warnings[0]
    assert "Hint" not in chosen.warnings[0]


@pytest.mark.parametrize(("precision", "runs"), [("auto", "fp16"), ("fp32", "fp32")])
def test_a_precision_that_is_asked_for_runs_on_cuda_too(
    monkeypatch: pytest.MonkeyPatch, precision: str, runs: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(select, "cuda_fault", lambda: None)
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_num_threads()
    try:
        chosen = choose_backend(settings(precision=precision))
    finally:
        torch.set_num_threads(before)
    assert chosen.precision == runs
    assert torch.backends.cudnn.allow_tf32 is (runs == "fp16")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_containers_share_of_the_cores(tmp_path: Path, files: dict[str, str], cores: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert _quota_cores(tmp_path) == cores


def test_no_more_cores_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(select, "_quota_cores", lambda: None)
    assert available_cores() == 4
    monkeypatch.setattr(select, "_quota_cores", lambda: 3)
    assert available_cores() == 3
    monkeypatch.setattr(select, "_quota_cores", lambda: 64)
    assert available_cores() == 4


@pytest.mark.usefixtures("no_cuda")
def test_few_frames_are_not_worth_a_second_stream() -> None:
    streams = {}
    for frames in (None, 1, 60, 61):
        backend = choose_backend(settings(threads=2), frames)
        assert isinstance(backend, OpenVinoBackend)
        streams[frames] = backend.streams
    assert streams == {None: 2, 1: 1, 60: 1, 61: 2}
