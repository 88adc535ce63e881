"""Energy and carbon by hand."""

import pytest

from streamer.evaluation.carbon import footprint


def test_threads_and_gpus_draw_different_power() -> None:
    cpu = footprint(2.0, "x86_64 CPU, 4 threads")
    assert cpu.power_w == 48
    assert cpu.energy_kwh == pytest.approx(2 * 0.048 * 1.59)
    assert cpu.carbon_kg == pytest.approx(0.475 * cpu.energy_kwh)
    assert footprint(1.0, "NVIDIA H100 80GB HBM3").energy_kwh == pytest.approx(0.7 * 1.59)
