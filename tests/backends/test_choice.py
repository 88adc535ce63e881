"""Which backend runs, and what is refused."""

from __future__ import annotations

import os

import pytest
import torch

from streamer.backends import choose_backend
from streamer.backends.choice import available_cores
from streamer.errors import DeviceError
from streamer.settings import RuntimeSettings


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


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


def test_cores_where_the_system_tells_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert available_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1
