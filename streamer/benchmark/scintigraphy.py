"""How long a network takes for a pile of scintigraphy images, loading included: the paper's "500 images in 11 s"."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from streamer._files import write_whole
from streamer.backends.select import available_cores
from streamer.scintigraphy.classes import CLASSES
from streamer.scintigraphy.networks import build
from streamer.scintigraphy.phantom import PhantomStudy, write_study
from streamer.scintigraphy.predict import find_images
from streamer.scintigraphy.predictor import Predictor
from streamer.scintigraphy.read import read_image
from streamer.scintigraphy.samples import ScintigraphySample
from streamer.scintigraphy.weights import TENSORS, ScintigraphyEntry, ScintigraphyTraining, write_entry

_SIZE_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Wall-clock seconds of each step.

    Attributes:
        images: how many.
        cores: that were used.
        network: architecture and input size.
        load_s: weights read, converted or taken from the cache, and compiled.
        read_s: images read and normalised.
        predict_s: probabilities.
        total_s: all of it.
        cpu_s: processor time of all cores together, which other programs on the machine change less.
    """

    images: int
    cores: int
    network: str
    load_s: float
    read_s: float
    predict_s: float
    total_s: float
    cpu_s: float


def measure(images: list[Path], weights: Path, *, threads: int = 0) -> Speed:
    """Time the way from files to probabilities.

    Raises:
        DataError, WeightsError: an image or the weights cannot be read.
    """
    from streamer.scintigraphy.pictures import read_pictures

    threads = threads or available_cores()
    started, cpu = time.perf_counter(), time.process_time()
    predictor = Predictor(weights, threads=threads)
    loaded = time.perf_counter()
    samples = [ScintigraphySample(image=image, patient=str(image), label="normal", centre="") for image in images]
    grey = read_pictures(samples, predictor.entry.size_px).grey
    read = time.perf_counter()
    predictor.probabilities(grey)
    ended = time.perf_counter()
    return Speed(
        images=len(images),
        cores=threads,
        network=f"{predictor.entry.architecture}, {predictor.entry.size_px} px",
        load_s=loaded - started,
        read_s=read - loaded,
        predict_s=ended - read,
        total_s=ended - started,
        cpu_s=time.process_time() - cpu,
    )


def run_benchmark(*, weights: Path | None, images: Path | None, count: int, say: Callable[[str], object]) -> Speed:
    """Measure; simulated images and random weights of the modified ResNet-34 where none are given.

    Raises:
        DataError, WeightsError: an image or the weights cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run = weights or _random_run(root / "run")
        files = find_images([images]) if images else _simulated(root / "study", count, say)
        read_image(files[0])  # the libraries are imported
        return measure(files[:count], run)


def write_speed(speed: Speed, path: Path) -> None:
    """Write the figures as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(path, (json.dumps(asdict(speed), indent=2) + "\n").encode())


def _simulated(folder: Path, count: int, say: Callable[[str], object]) -> list[Path]:
    say(f"simulating {count} images")
    a_class = -(-count // len(CLASSES))
    write_study(PhantomStudy(images={"north": a_class}), folder, workers=available_cores())
    return find_images([folder / "north"])


def _random_run(folder: Path) -> Path:
    """The modified ResNet-34 with random weights, which takes as long as a trained one."""
    torch.manual_seed(0)
    content = save({name: tensor.contiguous() for name, tensor in build("resnet34-fc").state_dict().items()})
    folder.mkdir(parents=True)
    (folder / TENSORS).write_bytes(content)
    training = ScintigraphyTraining(
        config={}, data={}, data_sha256="", internal="", rule="random weights", fold=0, pictures=(), hours=0, epochs=0,
        hardware="", versions={},
    )  # fmt: skip
    entry = ScintigraphyEntry(
        sha256=hashlib.sha256(content).hexdigest(), architecture="resnet34-fc", size_px=_SIZE_PX, mean=0.449, std=0.226,
        hidden=(256, 64), leak=0.01, classes=CLASSES, taught_by=(), training=training, licence="none: random numbers",
    )  # fmt: skip
    write_entry(folder, entry)
    return folder
