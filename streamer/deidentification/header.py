"""The header without the patient: the basic profile of PS3.15, annex E, and nothing besides that could name anybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b, replace_UID
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from streamer.deidentification.pseudonyms import Pseudonyms
from streamer.dicom.attributes import numbers, sequence, text
from streamer.sources._dicom_plane import plane_of

_NUMBERS = (
    "InstanceNumber", "SeriesNumber", "CineRate", "RecommendedDisplayFrameRate", "FrameTime", "FrameDelay", "StartTrim",
    "StopTrim", "ActualFrameDuration", "EffectiveDuration", "PreferredPlaybackSequencing", "PixelSpacing",
    "PixelAspectRatio", "TransducerFrequency", "PulseRepetitionFrequency", "DepthOfScanField", "DepthsOfFocus",
    "MechanicalIndex", "BoneThermalIndex", "CranialThermalIndex", "SoftTissueThermalIndex",
    "LossyImageCompressionRatio",
)  # fmt: skip
"""Attributes that are kept as the numbers they are; what is no number in them goes."""

_LARGEST = 99_999
"""A larger number is a date or an identifier, whatever attribute it stands in: sizes, rates, depths and angles of a
scanner, in the units of the standard, are smaller."""

_WINDOW = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
"""What turns stored values of more than 8 bits into grey levels."""

_REGION_NUMBERS = (
    "RegionSpatialFormat", "RegionDataType", "RegionFlags", "RegionLocationMinX0", "RegionLocationMinY0",
    "RegionLocationMaxX1", "RegionLocationMaxY1", "ReferencePixelX0", "ReferencePixelY0", "PhysicalUnitsXDirection",
    "PhysicalUnitsYDirection", "ReferencePixelPhysicalValueX", "ReferencePixelPhysicalValueY", "PhysicalDeltaX",
    "PhysicalDeltaY", "TransducerFrequency", "PulseRepetitionFrequency", "DopplerCorrectionAngle", "SteeringAngle",
    "DopplerSampleVolumeXPosition", "DopplerSampleVolumeYPosition",
)  # fmt: skip

_TERMS: dict[str, frozenset[str]] = {
    "Modality": frozenset({"US", "OT", "SC"}),
    "ImageType": frozenset({"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "LossyImageCompressionMethod": frozenset(
        {"ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_13818_2", "ISO_14496_10", "ISO_23008_2"}
    ),
    "Laterality": frozenset({"R", "L"}),
    "ImageLaterality": frozenset({"R", "L", "U", "B"}),
    "ConversionType": frozenset({"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"}),
}  # fmt: skip
"""Attributes that are kept where they hold one of these values, whatever else they might be misused for."""

_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime")
_EMPTY = (
    "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "Manufacturer", "PatientOrientation",
)  # fmt: skip
"""Required by the standard, but allowed to be empty."""
_EMPTY_NUMBERS = ("SeriesNumber", "InstanceNumber")
"""The same, where the source has none that is kept."""

_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")

_METHOD = (("113100", "Basic Application Confidentiality Profile"), ("113101", "Clean Pixel Data Option"))
_DATES_MODIFIED = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")

_ACTIONS: dict[tuple[int, ...], Callable[..., Any]] = initialize_actions_2024b()
"""By tag, what the basic profile does with an attribute (PS3.15, table E.1-1, edition 2024b)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChanges:
    """What became of the attributes of a header, by keyword; never a value.

    Attributes:
        removed, replaced, kept: keywords, sorted; nested ones by the keywords that lead to them.
        private: number of private or unknown attributes, all of which are removed.
    """

    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]
    private: int


def deidentified(header: Dataset, names: Pseudonyms, *, shift_dates: bool) -> Dataset:
    """A new header: numbers and terms that describe the picture, new identity, nothing else.

    Args:
        header: as read; it stays as it is.
        names: gives the new identity.
        shift_dates: keep dates of study, series and picture, all of a patient moved by the same number of days; else
            they go.
    """
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = text(header, "SOPClassUID")
    _keep_numbers(header, made, _NUMBERS)
    for keyword, terms in _TERMS.items():
        if found := [one for one in text(header, keyword).split("\\") if one in terms]:
            setattr(made, keyword, found)
    made.Modality = made.get("Modality") or "US"
    _keep_regions(header, made)
    plane = plane_of(header)
    _apply_profile(made)  # a future edition of the table may name what is kept today
    _leave_empty(made)
    pseudonym = names.patient(header)
    made.PatientName = made.PatientID = pseudonym
    for keyword in _UIDS:
        if original := text(header, keyword):
            setattr(made, keyword, names.uid(original))
    if plane is not None:
        made.ViewName = plane.upper()
    if shift_dates:
        _shift(header, made, names.shift_days(pseudonym))
    _state_method(made, dates=shift_dates)
    return made


def _leave_empty(made: Dataset) -> None:
    for keyword in _EMPTY:
        setattr(made, keyword, "")
    for keyword in _EMPTY_NUMBERS:
        if keyword not in made:
            setattr(made, keyword, None)
    if "Laterality" not in made and "ImageLaterality" not in made:
        made.Laterality = ""


def keep_window(header: Dataset, made: Dataset) -> None:
    """Keep the numbers by which samples of more than 8 bits are shown."""
    _keep_numbers(header, made, _WINDOW)


def _keep_regions(header: Dataset, made: Dataset) -> None:
    """Regions as far as they say where they are."""
    regions = []
    for item in sequence(header, "SequenceOfUltrasoundRegions"):
        region = Dataset()
        _keep_numbers(item, region, _REGION_NUMBERS)
        if "RegionLocationMaxX1" in region:
            regions.append(region)
    if regions:
        made.SequenceOfUltrasoundRegions = regions


def _keep_numbers(source: Dataset, made: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        found = numbers(source, keyword)
        if not found or any(abs(one) > _LARGEST for one in found):
            continue
        whole = [_as_int(one) for one in found]
        vr = dictionary_VR(keyword)
        if vr in ("US", "UL", "SL", "SS", "IS") and any(not isinstance(one, int) for one in whole):
            continue
        values: list[str] | list[int | float] | list[float] = whole if vr not in ("FD", "FL") else list(found)
        if vr == "DS":
            values = [f"{one:.10g}"[:16] for one in found]
        try:
            setattr(made, keyword, values[0] if len(values) == 1 else values)
        except (ValueError, OverflowError, TypeError):  # larger than its kind of number allows
            continue


def _as_int(value: float) -> int | float:
    """A whole number as int."""
    return int(value) if value == int(value) else value


def _apply_profile(made: Dataset) -> None:
    for tag in list(made.keys()):
        action = _ACTIONS.get((Tag(tag).group, Tag(tag).element))
        if action is not None and action is not replace_UID:
            action(made, (Tag(tag).group, Tag(tag).element))


def _shift(header: Dataset, made: Dataset, days: int) -> None:
    for keyword in _DATES:
        found = text(header, keyword)
        if not _DATE.fullmatch(found):
            continue
        try:
            moved = date(int(found[:4]), int(found[4:6]), int(found[6:])) + timedelta(days=days)
        except (ValueError, OverflowError):  # no day of the calendar
            continue
        setattr(made, keyword, moved.strftime("%Y%m%d"))
    for keyword in _TIMES:
        if _TIME.fullmatch(found := text(header, keyword)):
            setattr(made, keyword, found)


def _state_method(made: Dataset, *, dates: bool) -> None:
    made.PatientIdentityRemoved = "YES"
    made.LongitudinalTemporalInformationModified = "MODIFIED" if dates else "REMOVED"
    made.BurnedInAnnotation = "YES"  # text inside the regions cannot be ruled out
    made.DeidentificationMethod = "streamer: PS3.15 basic profile, pixels masked"
    codes = []
    for value, meaning in (*_METHOD, *((_DATES_MODIFIED,) if dates else ())):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    made.DeidentificationMethodCodeSequence = codes


def header_changes(header: Dataset, made: Dataset) -> HeaderChanges:
    """What became of the attributes of `header` in `made`."""
    before, private = _flat(header)
    after, _ = _flat(made)
    removed = sorted(set(before) - set(after))
    common = set(before) & set(after)
    replaced = sorted(name for name in common if before[name] != after[name])
    return HeaderChanges(
        removed=tuple(removed),
        replaced=tuple(replaced),
        kept=tuple(sorted(common - set(replaced))),
        private=private,
    )


def _flat(data: Dataset, path: str = "") -> tuple[dict[str, object], int]:
    """Values by keyword, and how many attributes have none."""
    found: dict[str, object] = {}
    private = 0
    for tag in list(data.keys()):
        keyword = keyword_for_tag(tag)
        if not keyword:
            private += 1
            continue
        name = f"{path}{keyword}"
        found[name] = numbers(data, keyword) or text(data, keyword)
        for item in sequence(data, keyword):
            nested, more = _flat(item, f"{name}.")
            found |= nested
            private += more
    return found, private
