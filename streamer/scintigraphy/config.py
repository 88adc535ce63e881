"""Configuration of a scintigraphy training run; `configs/scintigraphy-*.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from streamer.scintigraphy.architectures import SMALLEST_PX, Architecture

Share = Annotated[float, Field(ge=0, le=1)]
Start = Literal["cache-or-scratch", "cache", "scratch"]


class ScintigraphyConfig(BaseModel):
    """What to train and how.

    `size_px` is the side of the network's input, in training as in use; the paper does not give it. `start` says where
    the weights come from: torchvision's ImageNet weights in its cache, required or where they are there, or random
    numbers; a file that is named beside the configuration goes before it. `schedule` is the paper's (a tenth of the
    rate every `step_epochs`) or one cycle. `ema_decay` is that of averaged weights; 0 for none, as in the paper.
    `shift`, `zoom`, `tilt_degrees` and `window` are the ranges of random changes of a picture, all 0 in the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture = "resnet34-fc"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    size_px: Annotated[int, Field(ge=SMALLEST_PX, le=512, multiple_of=32)] = 128
    epochs: Annotated[int, Field(ge=1)] = 200
    batch: Annotated[int, Field(ge=2)] = 12
    learning_rate: Annotated[float, Field(gt=0)] = 2.5e-5
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    optimiser: Literal["adam", "adamw"] = "adam"
    schedule: Literal["steps", "one-cycle"] = "steps"
    step_epochs: Annotated[int, Field(ge=1)] = 80
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: Annotated[int, Field(ge=1)] = 200
    mixed_precision: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.8
    hidden: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (256, 64)
    leak: Annotated[float, Field(ge=0, le=1)] = 0.01
    start: Start = "cache-or-scratch"
    mean: float = 0.449
    std: Annotated[float, Field(gt=0)] = 0.226
    mirror: bool = False
    shift: Share = 0.0
    zoom: Share = 0.0
    tilt_degrees: Annotated[float, Field(ge=0, le=45)] = 0.0
    window: Share = 0.0

    @property
    def role(self) -> str:
        """What the training loop calls the network."""
        return self.architecture
