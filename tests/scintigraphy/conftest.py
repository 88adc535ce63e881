"""A simulated study of two hospitals, and a network trained on it for two epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from streamer.scintigraphy.config import ScintigraphyConfig
from streamer.scintigraphy.phantom.study import PhantomStudy, write_study
from streamer.scintigraphy.samples import read_samples
from streamer.scintigraphy.training import Trainer

RECIPE = ScintigraphyConfig(
    architecture="shufflenet-v2", size_px=64, epochs=2, batch=8, learning_rate=1e-3, start="scratch", optimiser="adamw"
)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images of two hospitals: six of each class and hospital."""
    folder = tmp_path_factory.mktemp("scintigraphy") / "study"
    write_study(PhantomStudy(images={"north": 6, "south": 6}, seed=5), folder)
    return folder


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """The same sums in the same order, however many threads other tests have left torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def run_folder(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder; read-only for tests."""
    data = read_samples(study_folder, internal="north")
    trainer = Trainer.prepare(RECIPE, data, device=torch.device("cpu"))
    with one_torch_thread():
        return trainer.train(tmp_path_factory.mktemp("scintigraphy") / "run")
