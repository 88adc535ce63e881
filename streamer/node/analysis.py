"""A job of the queue: objects of one study in, a folder of results out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from streamer.errors import InputError, NoFrameError
from streamer.node.records import Job, StoppedError
from streamer.pipeline.analyser import FrameAnalyser
from streamer.run import Progress, run_study
from streamer.sources import open_source
from streamer.sources._dicom_folder import studies, ultrasound_clips


def analyse_job(
    job: Job, analyser: FrameAnalyser, should_stop: Callable[[], bool], progress: Progress | None = None
) -> tuple[list[Path], str]:
    """Analyse the objects of a job and write the results into its folder.

    An object that cannot be read does not keep the others from being analysed.

    Args:
        job: as claimed.
        analyser: loaded networks; its settings choose `dicom` among the outputs.
        should_stop: asked after each frame.
        progress: told about each clip and frame.

    Returns:
        The DICOM results, and what could not be analysed, "" for nothing.

    Raises:
        StoppedError: it was to stop.
        InputError: nothing of it can be analysed.
        DeviceError, OutputError: as of `run_study`.
    """
    shutil.rmtree(job.output, ignore_errors=True)  # of an attempt that was killed
    readable, reasons = _readable(job)
    if not readable:
        raise InputError("; ".join(reasons))
    results: list[Path] = []
    # One study may hold several patients where identifiers were mixed up: they are kept apart.
    for number, clips in enumerate(studies(ultrasound_clips(readable, "the study")), start=1):
        folder = job.output / str(number)
        folder.mkdir(mode=0o700, parents=True)
        try:
            run_study(
                [clip.path for clip in clips], folder, analyser=analyser, should_stop=should_stop, progress=progress
            )
        except NoFrameError:
            if should_stop():
                raise StoppedError from None
            raise
        if should_stop():
            raise StoppedError
        results.extend(sorted(folder.glob("dicom-*.dcm")))
    return results, "; ".join(reasons)


def _readable(job: Job) -> tuple[list[Path], list[str]]:
    readable: list[Path] = []
    reasons: list[str] = []
    for path in job.files:
        try:
            with open_source(path):
                readable.append(path)
        except InputError as error:
            reasons.append(str(error))
    return readable, reasons
