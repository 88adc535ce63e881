"""Configuration of a training run, validated; one YAML file a network in `configs/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from streamer.errors import SettingsError
from streamer.models.registry import TASKS, TaskSpec, load_object, task
from streamer.models.weights_manifest import Preprocessing, Role
from streamer.settings import validated

Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=32, multiple_of=32)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ingredient(_Section):
    """How one source enters the training set: every `stride`-th image, at most `limit` of them.

    `patients` is the share of its patients (or what stands for them) to learn from, spread evenly over them: with it
    rising, validation figures draw a learning curve.
    """

    stride: Annotated[int, Field(ge=1)] = 1
    limit: Annotated[int, Field(ge=1)] | None = None
    patients: Annotated[float, Field(gt=0, le=1)] = 1.0


class TrainingConfig(_Section):
    """What to train and on what.

    `size_wh` is the network's input in pixels, in training as in use: a network trained at one size and run at another
    loses much (a segmenter trained at 128 px fell from Dice 0.90 to 0.64 at 192, docs/experiments.md).
    """

    role: Role
    """Which network: a task of `streamer.models.registry`."""
    architecture: str
    """One of the task's."""
    seed: int = 0
    """Seed of the first weights, of the order of the samples and of the augmentation."""
    sources: dict[str, Ingredient]
    """What to learn from, by name of the source."""
    phantom: Annotated[int, Field(ge=0)] = 0
    """Simulated frames that are added to the training set."""
    val_stride: Annotated[int, Field(ge=1)] = 1
    """Validate on every `val_stride`-th sample, to choose an epoch faster; published figures come from all of them."""
    tn3k_val_fold: Annotated[int, Field(ge=0, le=4)] = 0
    """Fold of TN3K that validates."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the 7:2:1 split of those sources of a manifest that name no split."""
    leave_out: Annotated[str, Field(pattern="^(hospital|vendor|region|source)=.+$")] | None = None
    """Centre that is kept for the test, such as "hospital=NAME"; the rest trains and validates."""
    size_wh: tuple[Side, Side]
    """Width and height of the network's input in pixels."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training set."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Samples per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Highest learning rate of the one cycle over all `epochs`."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """Of AdamW."""
    ema_decay: Share = 0.995
    """Decay per step of the averaged weights, which are the ones validated and kept."""
    mixed_precision: bool = True
    """Run the network in bfloat16 where the device is faster with it (a GPU, a CPU with AMX or AVX-512 BF16); the
    loss, the weights and their averages stay in float32."""
    patience: Annotated[int, Field(ge=1)] = 100
    """Epochs without a better validation figure that end the run."""
    mean: float = 0.0
    """Subtracted from grey, 0 to 1, before the network."""
    std: Annotated[float, Field(gt=0)] = 1.0
    """What grey less `mean` is divided by."""
    margin: Annotated[float, Field(ge=0)] = 0.25
    """Margin of a crop around the nodule's box, as a share of the box's longer side."""
    box_shift: Share = 0.1
    """Largest displacement of each edge of a crop's box, as a share of the side: as a detector might have drawn it."""
    box_stretch: Annotated[float, Field(ge=1)] = 1.25
    """Largest change of a crop's size, as a factor in either direction."""
    tilt_degrees: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Largest tilt of a crop in degrees, to either side."""
    mosaic: Share = 0.5
    """Share of the detector's training pictures that are put together from four."""
    scale: Share = 0.4
    """Largest change of a detector's training picture in size, either way, as a share."""
    mask_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the masks that teach the detector beside its boxes (see `mask_supervision`); 0 for none."""
    whole_view: Share = 0.0
    """Share of classifier crops that show the whole image instead of the nodule's box."""
    outline_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the masks that teach a classifier of the kind "-region" where its nodule is; 0 for none."""
    unlabelled: Share = 0.0
    """Share of a classifier's batch that shows pictures with a mask and no label: they teach the outline only."""
    frozen_blocks: Annotated[int, Field(ge=0, le=4)] = 0
    """Dense blocks of a classifier's encoder, from the picture on, that stay as they were where it started: half the
    work of a step lies in the first two. With 4 all of it stays, and a segmenter that shares it keeps its encoder."""
    outlines_from_segmenter: bool = False
    """Let the segmenter of a weights folder outline the box of pictures without a mask."""
    init: Path | None = None
    """Tensors (safetensors) to start from where name and shape fit; relative to the data folder."""
    boxes_from_detector: bool = False
    """Let the detector of a weights folder find the nodule in pictures that have no box."""
    self_training: Share | None = None
    """Let the detector of a weights folder teach this one: pictures without a box enter the training with the boxes it
    finds in them and in their mirror image with at least this mean score, and stay out where there is none."""
    start_from_weights: bool = False
    """Start from the same network of a weights folder."""
    encoder_from_segmenter: bool = False
    """Start the classifier's encoder from the segmenter of a weights folder (both are DenseNet121)."""
    encoder_from_classifier: bool = False
    """Give the segmenter the encoder of a weights folder's classifier and leave it as it is: what is learned is the
    decoder, and where both networks run they need the encoder once."""

    task_options: Annotated[dict[str, Any], Field(validate_default=True, exclude_if=lambda given: not given)] = {}
    """Options that only this task has, checked and completed by `TaskSpec.task_options`."""

    @property
    def task(self) -> TaskSpec:
        """What is trained."""
        return task(self.role)

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels reach the network, in training as in use."""
        whole = self.task.view == "frame"
        return Preprocessing(
            view=self.task.view,
            size_wh=self.size_wh,
            mean=self.mean,
            std=self.std,
            margin=0.0 if whole else self.margin,
        )

    @field_validator("task_options")
    @classmethod
    def _as_the_task_has_them(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        role = info.data.get("role")
        if role is None:  # which is the fault to tell of
            return given
        model = load_object(task(role).task_options)
        if model is None:
            if given:
                raise ValueError(f"a {role} has no options of its own: leave {', '.join(given)} out")
            return {}
        try:
            own: BaseModel = validated(model, given, f"options of the {role}")
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return own.model_dump(mode="json")

    @model_validator(mode="after")
    def _every_option_does_something(self) -> TrainingConfig:
        fields = type(self).model_fields
        if unknown := sorted(self.task.options - set(fields)):
            raise ValueError(
                f"the task {self.role} is registered with options that no training has ({', '.join(unknown)}): "
                "options of its own belong into its task_options"
            )
        of_others = {name for spec in TASKS.values() for name in spec.options} - self.task.options
        for name in sorted(of_others & set(fields)):
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"{name} does nothing for a {self.role}: leave it out")
        return self

    @model_validator(mode="after")
    def _frozen_blocks_have_learned(self) -> TrainingConfig:
        if self.frozen_blocks and not (self.init or self.start_from_weights or self.encoder_from_segmenter):
            raise ValueError("frozen_blocks would keep random numbers: name what the network starts from")
        return self

    @model_validator(mode="after")
    def _network_fits_role(self) -> TrainingConfig:
        if self.architecture not in self.task.architectures:
            raise ValueError(f"architecture of a {self.role} is one of {', '.join(self.task.architectures)}")
        if self.task.view == "crop" and self.size_wh[0] != self.size_wh[1]:
            raise ValueError("crops are square: width and height of size_wh must be equal")
        return self
