"""A weights folder of random numbers: it loads and runs like the real one, and finds boxes in anything."""

from __future__ import annotations

from pathlib import Path

import torch

from streamer.models.networks import build, load_fitting, load_network, save_half
from streamer.models.registry import TASKS, task
from streamer.models.weights_manifest import (
    ModelEntry,
    Preprocessing,
    Role,
    Training,
    read_manifest,
    write_entry,
)
from streamer.settings import DetectionSettings, Settings, TrackingSettings

ARCHITECTURE: dict[Role, str] = {
    "detector": "yolov5n",
    "segmenter": "densenet121-fpn",
    "classifier": "densenet121",
}
_SIZE_WH: dict[Role, tuple[int, int]] = {"detector": (96, 64), "segmenter": (64, 64), "classifier": (64, 64)}


def write_random_weights(folder: Path) -> Path:
    """Fill `folder`; the same numbers every time."""
    state = torch.random.get_rng_state()
    for seed, role in enumerate(TASKS):
        torch.manual_seed(seed)
        digest = save_half(build(ARCHITECTURE[role]).state_dict(), folder / f"{role}.safetensors")
        write_entry(folder, role, entry(role, digest))
    torch.random.set_rng_state(state)
    return folder


def write_joint_weights(folder: Path) -> Path:
    """As `write_random_weights`, but the segmenter has the classifier's encoder."""
    write_random_weights(folder)
    manifest = read_manifest(folder)
    segmenter, classifier = (load_network(folder, role, manifest) for role in ("segmenter", "classifier"))
    load_fitting(segmenter, {f"encoder.{name}": tensor for name, tensor in classifier.state_dict().items()})
    made = entry("segmenter", save_half(segmenter.state_dict(), folder / "segmenter.safetensors"))
    write_entry(folder, "segmenter", made.model_copy(update={"encoder_from": manifest.models["classifier"].sha256}))
    return folder


def entry(role: Role, sha256: str) -> ModelEntry:
    """A manifest entry for random weights."""
    return ModelEntry(
        file=f"{role}.safetensors",
        sha256=sha256,
        architecture=ARCHITECTURE[role],
        preprocessing=Preprocessing(view=task(role).view, size_wh=_SIZE_WH[role], mean=0.3, std=0.2, margin=0.25),
        classes=task(role).classes,
        operating_point=0.5,
        operating_point_source="none: random weights",
        training=Training(config={}, data={}, data_sha256="", hours=0, epochs=0, hardware="", versions={}),
        licence="none",
    )


def random_settings(folder: Path) -> Settings:
    """Settings under which the random detector, whose scores are tiny, finds two boxes in every frame."""
    return Settings(
        weights=folder,
        detection=DetectionSettings(confidence=1e-7, max_nodules=2),
        tracking=TrackingSettings(scene_cut=255),  # the numbered pictures of the tests differ much
    )
