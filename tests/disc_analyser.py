"""A cine of which the analysis is known: a disc that moves, found without networks."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataset import Dataset

from streamer.models.grad_cam import HeatMaps
from streamer.pipeline.analyser import AnalyserInfo, FrameFindings
from streamer.settings import Settings
from streamer.summaries import ModelVersion
from streamer.types import Finding, Frame
from tests.dicom_files import PREFIX, add_region, cine_dataset, frame_images, jpeg, write_dicom

SIZE = {"rows": 121, "columns": 163}  # odd, so that segmentation frames share bytes


class DiscAnalyser:
    """Finds a moving disc at a fixed place of whatever it is shown, surer in the middle of the clip."""

    settings = Settings(outputs=("report_json", "dicom"))
    batch_size, workers = 1, 1
    heat_maps: HeatMaps | None = None
    info = AnalyserInfo(threshold=0.5, models=(ModelVersion(role="detector", name="disc", sha256="ab" * 32),))

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        return [FrameFindings(frame, (self._disc(frame),), {"detect": 1.0}) for frame in frames]

    def _disc(self, frame: Frame) -> Finding:
        x, y = 40 + frame.index, 50
        contour = np.array(cv2.ellipse2Poly((x, y), (20, 12), 0, 0, 360, 15), np.int32)
        return Finding(
            box_xyxy=(x - 20.0, y - 12.0, x + 21.0, y + 13.0),
            confidence=0.9,
            malignancy=0.8 - 0.05 * abs(frame.index - 4),
            contour_xy=contour,
            long_axis_px=41,
            short_axis_px=25,
            area_px=800,
        )


def disc_cine(path: Path, frames: int = 8, **attributes: object) -> Dataset:
    data = cine_dataset(frames, **SIZE)
    data.PhotometricInterpretation, data.PatientName = "YBR_FULL_422", "SECRET^N\u00e4me"
    data.SpecificCharacterSet = "ISO_IR 100"
    add_region(data, (10, 5, 159, 115), delta_cm=0.02)
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    write_dicom(path, data, [jpeg(image) for image in frame_images(frames, **SIZE)], syntax=PREFIX + "4.50")
    return data
