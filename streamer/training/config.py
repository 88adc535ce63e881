"""Configuration of a training run, validated; one YAML file a network in `configs/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["detector", "segmenter", "classifier"]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ingredient(_Section):
    """How one source enters the training set: every `stride`-th image, at most `limit` of them."""

    stride: Annotated[int, Field(ge=1)] = 1
    limit: Annotated[int, Field(ge=1)] | None = None


class Phase(_Section):
    """A stretch of epochs at one input size, width and height in pixels."""

    epochs: Annotated[int, Field(ge=1)]
    size_wh: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


class TrainingConfig(_Section):
    """What to train and on what.

    `phases` run one after the other under a single one-cycle learning-rate schedule. `ema_decay` is the decay a step of
    the averaged weights, which are the ones validated and kept. `patience` ends the run after as many epochs without a
    better validation figure; `val_stride` thins the validation split to choose an epoch faster, published figures come
    from all of it. `phantom` adds that many simulated frames. `box_shift` and `box_stretch` make crops look
    as a detector would draw them.
    """

    role: Role
    architecture: str
    seed: int = 0
    sources: dict[str, Ingredient]
    phantom: Annotated[int, Field(ge=0)] = 0
    val_stride: Annotated[int, Field(ge=1)] = 1
    tn3k_val_fold: Annotated[int, Field(ge=0, le=4)] = 0
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    batch: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    ema_decay: Share = 0.995
    patience: Annotated[int, Field(ge=1)] = 100
    mean: float = 0.0
    std: Annotated[float, Field(gt=0)] = 1.0
    margin: Annotated[float, Field(ge=0)] = 0.25
    box_shift: Share = 0.1
    box_stretch: Annotated[float, Field(ge=1)] = 1.25
    tilt_degrees: Annotated[float, Field(ge=0, le=180)] = 15.0
    mosaic: Share = 0.5
    scale: Share = 0.4
    whole_view: Share = 0.0
    """Share of classifier crops that show the whole image instead of the nodule's box."""
    init: Path | None = None
    """Tensors (safetensors) to start from where name and shape fit; relative to the data folder."""
    detector: Path | None = None
    """Weights folder whose detector finds the nodule in stills that have no box (classifier only)."""

    @model_validator(mode="after")
    def _phases_do_not_shrink(self) -> TrainingConfig:
        areas = [phase.size_wh[0] * phase.size_wh[1] for phase in self.phases]
        if areas != sorted(areas):
            raise ValueError("phases must not shrink: validation runs at the last phase's size")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Input size of validation and of the finished network."""
        return self.phases[-1].size_wh

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Input size in epoch `epoch`, counted from 0."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase.size_wh
            epoch -= phase.epochs
        return self.size_wh
