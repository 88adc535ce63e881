"""What the image objects among the DICOM outputs have in common: references into the source, and codes as items."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom._standard_utils import get_sop_class_iod_map
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from streamer.dicom.classes import RETIRED


def accept_retired_classes() -> None:
    """Tell highdicom that the retired ultrasound classes are what replaced them; it knows current classes only."""
    known = get_sop_class_iod_map()
    for retired, current in RETIRED.items():
        known.setdefault(retired, known[current])


def code_item(code: Code | CodedConcept) -> Dataset:
    """A code as the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def source_item(source: Dataset, frames: Sequence[int], purpose: Code) -> Dataset:
    """A reference to frames of the source, given by their indices; a single image has no frame numbers."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    if int(source.NumberOfFrames) > 1:
        numbers = [index + 1 for index in frames]
        item.ReferencedFrameNumber = numbers[0] if len(numbers) == 1 else numbers
    item.PurposeOfReferenceCodeSequence = [code_item(purpose)]
    return item


def referenced_series(sources: Sequence[Dataset]) -> list[Dataset]:
    """Items of Referenced Series Sequence for instances of one study."""
    series: dict[str, Dataset] = {}
    for source in sources:
        item = series.setdefault(str(source.SeriesInstanceUID), Dataset())
        item.SeriesInstanceUID = source.SeriesInstanceUID
        instance = Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
        item.ReferencedInstanceSequence = [*item.get("ReferencedInstanceSequence", []), instance]
    return list(series.values())
