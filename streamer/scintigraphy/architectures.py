"""Names of the four networks of Front Endocrinol 2023;14:1224191; `streamer.scintigraphy.networks` builds them."""

from __future__ import annotations

from typing import Literal, cast

from streamer.models.registry import SCINTIGRAPHY

Architecture = Literal["resnet34-fc", "alexnet", "shufflenet-v2", "mobilenet-v3"]

ARCHITECTURES = cast("tuple[Architecture, ...]", tuple(SCINTIGRAPHY.architectures))
TITLES: dict[str, str] = {
    "resnet34-fc": "ResNet-34 (modified)",
    "alexnet": "AlexNet",
    "shufflenet-v2": "ShuffleNetV2",
    "mobilenet-v3": "MobileNetV3",
}
SMALLEST_PX = 64
"""AlexNet's pooling leaves nothing of a smaller picture."""
