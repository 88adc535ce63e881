"""The networks that can be trained, measured and run: one `TaskSpec` each, in one table.

A new network is one module (its architecture, its trainer, its evaluator) and one entry: describe it by a `TaskSpec`
and hand that to `register_task`. Everything else asks here: the manifest of a weights folder which names and
architectures there are, `streamer train` and `streamer evaluate` what does the work, `streamer quantise` what stays in
float32, the model card what the network is for. A task of another modality than ultrasound has a wing with commands of
its own, which ask here too.

This module imports no network library: what a task needs is named by a dotted path and imported when it is used.

Example:
    >>> from streamer.models.registry import task
    >>> task("classifier").classes
    ('benign', 'malignant')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

from streamer.errors import StreamerError, WeightsError

Target = Literal["boxes", "outline", "label"]
"""What a network learns to give: where each object is, the outline of one, or the class of one."""
Modality = Literal["ultrasound", "scintigraphy"]
"""What a picture was made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The threshold that turns a network's output into an answer.

    Attributes:
        meaning: what it is a threshold on, as the model card says it.
        initial: its value in a training run's weights, 0 to 1, before any is chosen on held-out data.
        source: where that value comes from.
    """

    meaning: str
    initial: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= 1:
            raise ValueError(f"an operating point is 0 to 1, got {self.initial}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """All that is known of one kind of network.

    What does the work is named by a dotted path, "package.module:name", or is the object itself.

    Attributes:
        name: what commands, manifests and files call it.
        purpose: what it does, for the model card: "outlines the nodule in a square crop around its box".
        view: whether it sees a letterboxed frame, or a square crop around a box.
        target: what it learns to give.
        classes: names of its classes, in the order of its output; two or ten.
        architectures: builder by architecture name. A builder takes the architecture's name and the
            number of classes, and gives a randomly initialised `torch.nn.Module`.
        trainer: a `streamer.training.loop.Task` class; called with configuration, training pictures and
            validation pictures.
        evaluator: a `streamer.evaluation.tasks.Evaluator`; of another modality, what its own command calls.
        operating_point: its threshold.
        modality: of its pictures.
        options: fields of `TrainingConfig` that change this task's training, and not that of every task.
        task_options: a pydantic model of options that only this task has; a training configuration gives them under
            `task_options`. None for no such options.
        fp32_layers: layers that stay in float32 in an int8 version, as patterns of their names.
        fast_bias_correction: whether quantisation may estimate the error that rounding leaves in each layer's mean.

    Raises:
        ValueError: a field is empty, or a path is not dotted.
    """

    name: str
    purpose: str
    view: Literal["frame", "crop"]
    target: Target
    classes: tuple[str, ...]
    architectures: Mapping[str, str | Callable[..., Any]]
    trainer: str | Callable[..., Any]
    evaluator: str | object
    operating_point: OperatingPoint
    modality: Modality = "ultrasound"
    options: frozenset[str] = field(default_factory=frozenset)
    task_options: str | type | None = None
    fp32_layers: tuple[str, ...] = ()
    fast_bias_correction: bool = True

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").isalnum():
            raise ValueError(f"a task's name has letters, digits and hyphens only, got {self.name!r}")
        if not self.classes or not self.architectures:
            raise ValueError(f"the task {self.name} needs at least one class and one architecture")
        for path in (self.trainer, self.evaluator, self.task_options, *self.architectures.values()):
            if isinstance(path, str) and path.count(":") != 1:
                raise ValueError(f"the task {self.name}: {path!r} is not of the form 'package.module:name'")


_TASKS: dict[str, TaskSpec] = {}
_OTHER_TASKS: dict[str, TaskSpec] = {}

TASKS: Mapping[str, TaskSpec] = MappingProxyType(_TASKS)
"""The registered tasks on ultrasound by name, in the order of registration: what a weights folder's manifest can hold,
and what `streamer train`, `evaluate` and `quantise` know; a live, read-only view."""
OTHER_TASKS: Mapping[str, TaskSpec] = MappingProxyType(_OTHER_TASKS)
"""Those of another modality, likewise."""


def register_task(spec: TaskSpec) -> TaskSpec:
    """Make a network known to the manifest, the commands and the model cards.

    Raises:
        ValueError: its name, or the name of one of its architectures, is taken by another task.
    """
    known = _TASKS | _OTHER_TASKS
    if known.get(spec.name, spec) != spec:
        raise ValueError(f"there is a task {spec.name} already")
    for other in known.values():
        if other.name != spec.name and (shared := set(other.architectures) & set(spec.architectures)):
            raise ValueError(f"the architecture {min(shared)} belongs to the task {other.name} already")
    (_TASKS if spec.modality == "ultrasound" else _OTHER_TASKS)[spec.name] = spec
    return spec


def task(name: str) -> TaskSpec:
    """The task of a name, of whatever modality.

    Raises:
        WeightsError: none has it.
    """
    known = _TASKS | _OTHER_TASKS
    if name not in known:
        raise WeightsError(f"there is no network {name!r}: it is one of {', '.join(known)}")
    return known[name]


def load_object(path: object) -> Any:
    """What a dotted path "package.module:name" names, imported now; anything else is the object itself.

    Raises:
        StreamerError: it cannot be imported.
    """
    if not isinstance(path, str):
        return path
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise StreamerError(f"the registered {path} cannot be imported: {error}") from error


DETECTOR = register_task(
    TaskSpec(
        name="detector",
        purpose="finds thyroid nodules in B-mode ultrasound frames and gives a box and a confidence for each",
        view="frame",
        target="boxes",
        classes=("nodule",),
        architectures=dict.fromkeys(
            ("yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x"), "streamer.models.architectures:build_detector"
        ),
        trainer="streamer.training.detector:DetectorTask",
        evaluator="streamer.evaluation.tasks:DETECTOR",
        operating_point=OperatingPoint(meaning="confidence", initial=0.3, source="the paper's published code"),
        options=frozenset({"mosaic", "scale", "mask_weight", "self_training"}),
        # YOLO's head (layer 24 in all sizes of YOLOv5) joins boxes of hundreds of pixels and scores below one in a
        # tensor: in integers the scores would collapse to a few values. Its score branch (cv3) in float32 costs a tenth
        # of the time and brings the scores' correlation from 0.9969 to 0.9986; the box branch (cv2) brought nothing.
        fp32_layers=(
            r".*\.model\.24/.*",
            r".*\.model\.24\.dfl[./].*",
            r".*\.model\.24\.cv2\.\d\.2/.*",
            r".*\.model\.24\.cv3\..*",
        ),
        fast_bias_correction=False,  # the slow way leaves the detector's scores half the bias
    )
)
SEGMENTER = register_task(
    TaskSpec(
        name="segmenter",
        purpose="outlines the nodule in a square crop around its box",
        view="crop",
        target="outline",
        classes=("nodule",),
        architectures=dict.fromkeys(
            ("densenet121-fpn", "densenet121-fpn-slim"), "streamer.models.architectures:build_segmenter"
        ),
        trainer="streamer.training.segmenter:SegmenterTask",
        evaluator="streamer.evaluation.tasks:SEGMENTER",
        operating_point=OperatingPoint(
            meaning="cut on the probability map", initial=0.5, source="the paper's published code"
        ),
        options=frozenset({"margin", "box_shift", "box_stretch", "tilt_degrees", "encoder_from_classifier"}),
        # Joined with the classifier: its head weighs cells by the outline and by signs, and rounding it would cost more
        # than its arithmetic.
        fp32_layers=(r".*\.class_head[./].*",),
    )
)
CLASSIFIER = register_task(
    TaskSpec(
        name="classifier",
        purpose="gives the probability that the nodule in a square crop is malignant",
        view="crop",
        target="label",
        classes=("benign", "malignant"),
        architectures=dict.fromkeys(
            ("densenet121", "densenet121-region"), "streamer.models.architectures:build_classifier"
        ),
        trainer="streamer.training.classifier:ClassifierTask",
        evaluator="streamer.evaluation.tasks:CLASSIFIER",
        operating_point=OperatingPoint(
            meaning="probability from which a nodule is called malignant", initial=0.5, source="not yet chosen"
        ),
        options=frozenset(
            {
                "margin",
                "box_shift",
                "box_stretch",
                "tilt_degrees",
                "whole_view",
                "encoder_from_segmenter",
                "outline_weight",
                "unlabelled",
                "outlines_from_segmenter",
                "frozen_blocks",
            }
        ),
    )
)
SCINTIGRAPHY = register_task(
    TaskSpec(
        name="scintigraphy",
        purpose="gives the probabilities of Graves' disease, normal thyroid, subacute thyroiditis and thyroid "
        "tumour for a planar 99mTc-pertechnetate image of the neck",
        view="frame",
        target="label",
        classes=("graves", "normal", "subacute", "tumour"),  # the order of the paper's Figure 1
        architectures=dict.fromkeys(
            ("resnet34-fc", "alexnet", "shufflenet-v2", "mobilenet-v3"), "streamer.scintigraphy.networks:build"
        ),
        trainer="streamer.scintigraphy.training:ScintigraphyTask",
        evaluator="streamer.scintigraphy.evaluation:evaluate",
        operating_point=OperatingPoint(
            meaning="none: the most probable class is the answer", initial=0.25, source="four classes"
        ),
        modality="scintigraphy",
    )
)

MALIGNANT = CLASSIFIER.classes.index("malignant")
"""Which of the classifier's logits stands for a malignant nodule."""
