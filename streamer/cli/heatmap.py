"""The `heatmap` command: one frame of a clip, with the heat map of each nodule found in it."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from streamer._pixels import png_bytes
from streamer.errors import InputError, OutputError
from streamer.outputs.folder import output_errors
from streamer.outputs.heatmap import draw_frame_heatmap
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from streamer.sources import open_source
from streamer.types import Finding, Frame


def write_heat_still(video: str | Path, index: int, output: Path, settings: Settings) -> tuple[Finding, ...]:
    """Analyse one frame and write it as PNG with the heat map of every nodule found in it.

    Args:
        video: clip, still or folder of stills.
        index: which frame, from 0.
        output: PNG file to write; its folder is made where missing.
        settings: of the analysis.

    Returns:
        The nodules found, best detection first.

    Raises:
        InputError: the clip cannot be read, has no such frame, or no nodule is found in it.
        WeightsError, DeviceError: the networks cannot be used.
        OutputError: the picture cannot be written.
    """
    if output.suffix.lower() != ".png":
        raise OutputError(f"the heat map is a PNG file: give --output a name that ends in .png, not {output.name}")
    clip = Path(os.path.realpath(video))
    if clip in (Path(os.path.realpath(output)), Path(os.path.realpath(output.parent))):
        harm = "lie among the stills it is made from" if clip.is_dir() else "be replaced by its own heat map"
        raise OutputError(f"{output} would {harm}; choose another output file")
    frame = _frame(video, index, settings)  # a wrong path or number should not wait for the networks
    engine = Engine(settings)
    least = engine.settings.detection.confidence or 0.0
    findings = tuple(one for one in engine.analyse([frame])[0].findings if one.confidence >= least)
    if not findings:
        raise InputError(f"no nodule was found in frame {index} of {frame.video}: give --frame another number")
    picture = draw_frame_heatmap(frame.image, findings, engine.heat_maps)
    data = png_bytes(picture)
    with output_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(data)
    return findings


def _frame(video: str | Path, index: int, settings: Settings) -> Frame:
    with open_source(video, deinterlace=settings.input.deinterlace) as source:
        count = 0
        for frame in islice(source.frames(), index + 1):
            if frame.index == index:
                return frame
            count += 1
    raise InputError(f"{source.info.name} has no frame {index}: it ends with frame {count - 1}")
