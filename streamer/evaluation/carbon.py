"""Energy and carbon of a training run, estimated from its hours: in model cards, and nowhere else.

`kWh = hours x power x PUE / 1000`, `kg CO2e = kWh x grid intensity` (the formula of Green Algorithms, Lannelongue et
al., Advanced Science 2021;8:2100707). Nothing was metered: the constants below are assumptions, and the card says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

THREAD_W = 12.0
"""One busy core of a server CPU; Green Algorithms takes as much where the model is unknown."""

GPU_W = 700.0
"""Board power of an NVIDIA H100 SXM (its data sheet), the greatest of the GPUs in wide use: an upper bound."""

PUE = 1.59
"""Energy of a data centre over that of its computers, world mean (Uptime Institute, annual survey 2020)."""

GRID_KG_PER_KWH = 0.475
"""World mean of electricity in 2018 (IEA, Global Energy & CO2 Status Report 2019)."""

_CPU = re.compile(r"CPU, (\d+) threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Energy in kWh, carbon in kg CO2e, and the power in W that both rest on."""

    energy_kwh: float
    carbon_kg: float
    power_w: float


def footprint(hours: float, hardware: str) -> Footprint:
    """The estimate for a run.

    Args:
        hours: its length.
        hardware: as the manifest names it: "... CPU, N threads", or the name of a GPU.
    """
    threads = _CPU.search(hardware)
    power_w = THREAD_W * int(threads[1]) if threads else GPU_W
    energy_kwh = hours * power_w * PUE / 1000
    return Footprint(energy_kwh=energy_kwh, carbon_kg=energy_kwh * GRID_KG_PER_KWH, power_w=power_w)
