"""Presentation state: the contours as graphics that a viewer shows over the original (PS3.3, A.33)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from PIL import ImageCms
from pydicom.dataset import Dataset

from streamer.dicom.classes import PRODUCT
from streamer.dicom.identity import RunIdentity, save, stamp, unnamed
from streamer.outputs._dicom_nodules import ClipOutlines, NoduleResult
from streamer.outputs.overlay import percent
from streamer.version import __version__

KIND, SERIES_NUMBER = "presentation", 9005
SERIES_LABEL = "streamer: contours over the original"
_DEVICE_CLASS = slice(12, 16)  # ICC.1:2022, table 17
_GREY = ("MONOCHROME1", "MONOCHROME2")


def write_presentation(
    path: Path, clip: ClipOutlines, nodules: Sequence[NoduleResult], run: RunIdentity, number: int
) -> None:
    """Write a presentation state of one clip: the contour and name of each nodule in every frame it was seen in.

    Args:
        path: file to write.
        clip: with at least one outline of `nodules`.
        nodules: of the clip that are shown.
        run: of which it is a result.
        number: instance number, from 1.

    Raises:
        OSError: it cannot be written.
    """
    source = clip.source
    study_uid, name = str(source.StudyInstanceUID), str(source.SOPInstanceUID)
    layer = hd.pr.GraphicLayer("NODULES", order=1, description="Contours of nodules, research use only")
    grey = str(source.PhotometricInterpretation) in _GREY
    common: dict[str, Any] = {
        "referenced_images": [_with_groups(unnamed(source))],
        "series_instance_uid": run.series_uid(study_uid, KIND),
        "series_number": SERIES_NUMBER,
        "sop_instance_uid": run.instance_uid(study_uid, KIND, name),
        "instance_number": number,
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": __version__,
        "device_serial_number": __version__,
        "content_label": "NODULES",
        "content_description": layer.GraphicLayerDescription,
        "graphic_layers": [layer],
        "graphic_annotations": _annotations(clip, nodules, layer, run),
    }
    made: Dataset
    if grey:
        made = hd.pr.GrayscaleSoftcopyPresentationState(**common)
    else:
        made = hd.pr.ColorSoftcopyPresentationState(icc_profile=_srgb(), **common)
    stamp(made, source, run, kind=KIND, name=name, number=SERIES_NUMBER, label=SERIES_LABEL)
    made.PresentationCreationDate, made.PresentationCreationTime = made.ContentDate, made.ContentTime
    del made.ContentDate, made.ContentTime
    made.Laterality = ""
    _state_scale(made, clip)
    save(made, path)


def _with_groups(image: Dataset) -> Dataset:
    """With functional groups, in which highdicom looks for tables of grey; an ultrasound cine has none."""
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [Dataset()], []
    return image


def _state_scale(made: Dataset, clip: ClipOutlines) -> None:
    """Pixels that are not square are shown as they are, and can be measured (PS3.3, C.10.4)."""
    if clip.spacing_mm is None:
        return
    across, down = clip.spacing_mm
    for area in made.DisplayedAreaSelectionSequence:
        area.PresentationPixelSpacing = [f"{down:.10g}", f"{across:.10g}"]  # of rows, then of columns
        if "PresentationPixelAspectRatio" in area:
            del area.PresentationPixelAspectRatio


def _srgb() -> bytes:
    """The colour space that a viewer assumes for ultrasound, which states none, as an input profile (C.11.15)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DEVICE_CLASS] = b"scnr"
    return bytes(profile)


def _annotations(
    clip: ClipOutlines, nodules: Sequence[NoduleResult], layer: hd.pr.GraphicLayer, run: RunIdentity
) -> list[hd.pr.GraphicAnnotation]:
    """One annotation per frame, in the order of the frames."""
    study_uid = str(clip.source.StudyInstanceUID)
    by_frame: defaultdict[int, list[tuple[NoduleResult, npt.NDArray[np.int16]]]] = defaultdict(list)
    for nodule in nodules:
        for frame, contour in clip.outlines.get(nodule.track, []):
            by_frame[frame].append((nodule, contour))
    multi_frame = int(clip.source.NumberOfFrames) > 1
    return [
        hd.pr.GraphicAnnotation(
            referenced_images=[clip.source],
            graphic_layer=layer,
            referenced_frame_number=frame + 1 if multi_frame else None,
            graphic_objects=[_outline(nodule, contour, study_uid, run) for nodule, contour in shown],
            text_objects=[_name(nodule, contour, clip) for nodule, contour in shown],
        )
        for frame, shown in sorted(by_frame.items())
    ]


def _outline(
    nodule: NoduleResult, contour: npt.NDArray[np.int16], study_uid: str, run: RunIdentity
) -> hd.pr.GraphicObject:
    """A closed polyline; the middle of the upper left pixel is 0.5, 0.5 (PS3.3, C.10.5.1.2)."""
    points = np.vstack([contour, contour[:1]]).astype(np.float32) + 0.5
    return hd.pr.GraphicObject(
        graphic_type=hd.pr.GraphicTypeValues.POLYLINE,
        graphic_data=points,
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        tracking_id=nodule.label,
        tracking_uid=run.tracking_uid(study_uid, nodule.track),
    )


def _name(nodule: NoduleResult, contour: npt.NDArray[np.int16], clip: ClipOutlines) -> hd.pr.TextObject:
    left, top = (float(value) for value in contour.min(axis=0))
    width, height = int(clip.source.Columns), int(clip.source.Rows)
    box = (left, max(top - height / 30, 0), min(left + width / 6, width), max(top, 1))
    return hd.pr.TextObject(
        text_value=f"{nodule.label}: {percent(nodule.probability)}",
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        bounding_box=box,
        text_justification=hd.pr.TextJustificationValues.LEFT,
    )
