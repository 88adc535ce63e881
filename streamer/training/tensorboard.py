"""Training figures for TensorBoard, which is an optional package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streamer.errors import OutputError, SettingsError
from streamer.training.loop import Observer


@contextmanager
def tensorboard_log(folder: Path) -> Iterator[Observer]:
    """An observer that writes every figure of an epoch as a scalar into `folder`.

    Raises:
        SettingsError: the package `tensorboard` is not installed.
        OutputError: the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingsError("TensorBoard is not installed: pip install tensorboard") from error
    try:
        writer = SummaryWriter(folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error

    def observe(epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch)

    with writer:
        yield observe
