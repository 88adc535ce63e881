"""A nodule's segmentation over all frames it was seen in (PS3.3, A.51).

Written attribute by attribute: highdicom makes no segmentation over a multi-frame ultrasound source, which has no frame
of reference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SegmentationStorage

from streamer.dicom.classes import PRODUCT
from streamer.dicom.codes import THYROID
from streamer.dicom.identity import RunIdentity, derived_uid, save, stamp
from streamer.outputs._dicom_images import code_item, referenced_series, source_item
from streamer.outputs._dicom_nodules import ClipOutlines, NoduleResult

KIND, SERIES_NUMBER = "segmentation", 9002
SERIES_LABEL = "streamer: thyroid nodules, segmentation"
_MAX_PLAIN_BYTES = 16 * 2**20  # larger pixel data are deflated: outlines shrink to a hundredth
_NO_THICKNESS_MM = "0.001"
"""A plane of ultrasound states none: a volume that somebody sums up over frames shall be nothing, not a number."""
_SEGMENT_TAG, _SEGMENT_GROUP = 0x0062000B, 0x0062000A
_INDEX_TAG, _CONTENT_GROUP = 0x00209057, 0x00209111  # In-Stack Position Number: the order of the frames in time


def write_segmentation(path: Path, nodule: NoduleResult, run: RunIdentity, number: int) -> None:
    """Write one nodule's outlines as a binary segmentation.

    Args:
        path: file to write.
        nodule: with at least one outline.
        run: of which it is a result.
        number: instance number, from 1.

    Raises:
        OSError: it cannot be written.
    """
    clip = nodule.clip
    outlines = clip.outlines[nodule.track]
    rows, columns = int(clip.source.Rows), int(clip.source.Columns)
    made = Dataset()
    made.SOPClassUID, made.Modality, made.InstanceNumber = SegmentationStorage, "SEG", number
    study_uid = str(clip.source.StudyInstanceUID)
    stamp(made, clip.source, run, kind=KIND, name=str(nodule.track), number=SERIES_NUMBER, label=SERIES_LABEL)
    made.ImageType = ["DERIVED", "PRIMARY"]
    made.ContentLabel, made.ContentDescription = "NODULE", f"{nodule.label}, research use only"
    made.ContentCreatorName, made.SegmentationType, made.SegmentsOverlap = "", "BINARY", "NO"
    made.PatientOrientation = ""
    made.LossyImageCompression = clip.source.LossyImageCompression
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns, made.NumberOfFrames = rows, columns, len(outlines)
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = made.PixelRepresentation = 0
    made.SegmentSequence = [_segment(nodule, run.tracking_uid(study_uid, nodule.track))]
    _add_dimensions(made)
    made.SharedFunctionalGroupsSequence = [_shared(clip)]
    made.PerFrameFunctionalGroupsSequence = [
        _frame_groups(clip, frame, position) for position, (frame, _) in enumerate(outlines, start=1)
    ]
    made.ReferencedSeriesSequence = referenced_series([clip.source])
    with tempfile.TemporaryFile() as pixels:
        size = _pack(pixels, _masks(clip, nodule.track))
        pixels.seek(0)
        made.PixelData = pixels
        made["PixelData"].VR = "OB"
        save(made, path, DeflatedExplicitVRLittleEndian if size > _MAX_PLAIN_BYTES else ExplicitVRLittleEndian)


def _masks(clip: ClipOutlines, track: int) -> Iterator[npt.NDArray[np.uint8]]:
    shape = int(clip.source.Rows), int(clip.source.Columns)
    for _, contour in clip.outlines[track]:
        mask = np.zeros(shape, np.uint8)
        cv2.drawContours(mask, [contour.astype(np.int32)], -1, 1, cv2.FILLED)
        yield mask


def _pack(file: BinaryIO, masks: Iterator[npt.NDArray[np.uint8]]) -> int:
    """Bits of all frames one after another, without padding between them (PS3.5, 8.1.1), the lowest first.

    Returns:
        Number of bytes, even.
    """
    rest, written = np.zeros(0, np.uint8), 0
    for mask in masks:
        bits = np.concatenate([rest, mask.ravel()])
        whole = len(bits) // 8 * 8
        rest = bits[whole:]
        written += file.write(np.packbits(bits[:whole], bitorder="little").tobytes())
    if len(rest):
        written += file.write(np.packbits(rest, bitorder="little").tobytes())
    if written % 2:
        written += file.write(b"\0")
    return written


def _segment(nodule: NoduleResult, tracking_uid: str) -> Dataset:
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, nodule.label
    segment.SegmentAlgorithmType, segment.SegmentAlgorithmName = "AUTOMATIC", PRODUCT
    segment.SegmentedPropertyCategoryCodeSequence = [code_item(codes.SCT.MorphologicallyAbnormalStructure)]
    segment.SegmentedPropertyTypeCodeSequence = [code_item(codes.SCT.Nodule)]
    segment.AnatomicRegionSequence = [code_item(THYROID)]
    segment.TrackingID, segment.TrackingUID = nodule.label, tracking_uid
    return segment


def _add_dimensions(made: Dataset) -> None:
    organisation = Dataset()
    organisation.DimensionOrganizationUID = derived_uid("dimensions", str(made.SOPInstanceUID))
    made.DimensionOrganizationSequence = [organisation]
    indices = []
    for pointer, group, label in (
        (_SEGMENT_TAG, _SEGMENT_GROUP, "Segment"),
        (_INDEX_TAG, _CONTENT_GROUP, "Frame in time"),
    ):
        index = Dataset()
        index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        index.DimensionDescriptionLabel = label
        indices.append(index)
    made.DimensionIndexSequence = indices


def _shared(clip: ClipOutlines) -> Dataset:
    """What OHIF wants of a segmentation before it shows it: pixel measures, and an orientation of the picture.

    The orientation is nominal: rows and columns run as the source's do, and without a frame of reference it names no
    direction of the patient. highdicom reads no pixel measures without a slice thickness.
    """
    groups, identification, orientation = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    groups.PlaneOrientationSequence = [orientation]
    identification.ReferencedSegmentNumber = 1
    groups.SegmentIdentificationSequence = [identification]
    if clip.spacing_mm is not None:
        across, down = clip.spacing_mm
        measures = Dataset()
        measures.PixelSpacing = [f"{down:.10g}", f"{across:.10g}"]  # of rows, then of columns
        measures.SliceThickness = _NO_THICKNESS_MM
        groups.PixelMeasuresSequence = [measures]
    return groups


def _frame_groups(clip: ClipOutlines, frame: int, position: int) -> Dataset:
    groups, content, derivation = Dataset(), Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber = "1", position
    content.DimensionIndexValues = [1, position]
    groups.FrameContentSequence = [content]
    derivation.DerivationCodeSequence = [code_item(codes.DCM.Segmentation)]
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    item = source_item(clip.source, [frame], purpose)
    item.SpatialLocationsPreserved = "YES"  # pixel by pixel
    derivation.SourceImageSequence = [item]
    groups.DerivationImageSequence = [derivation]
    return groups
