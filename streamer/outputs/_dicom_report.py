"""The structured report: Comprehensive 3D SR after TID 1500 (PS3.16), one measurement group per nodule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import highdicom as hd
import numpy as np
from highdicom.sr import CodedConcept, Measurement, RelationshipTypeValues, TextContentItem
from pydicom.dataset import Dataset

from streamer.dicom import codes
from streamer.dicom.classes import PRODUCT, RETIRED
from streamer.dicom.identity import IMPLEMENTATION_UID, RESEARCH_ONLY, RunIdentity, stamp, unnamed
from streamer.outputs._dicom_nodules import NoduleResult
from streamer.version import __version__

KIND, SERIES_NUMBER = "report", 9001
SERIES_LABEL = "streamer: thyroid nodules, structured report"
_PATIENT = "Patient"  # what the group over all nodules is called


def structured_report(
    sources: Sequence[Dataset],
    nodules: Sequence[NoduleResult],
    *,
    patient_probability: float | None,
    run: RunIdentity,
    complete: bool,
    rejections: Mapping[str, int] | None = None,
) -> Dataset:
    """The report of one study: unverified, its observer the device, no category claimed.

    Args:
        sources: what was analysed, of one study (`evidence`), at least one.
        nodules: that count for the patient.
        patient_probability: maximum over them, 0 to 1; None where there is none.
        run: of which this is the result.
        complete: whether all of the sources was analysed.
        rejections: frames in which nothing was looked for, by why.
    """
    study_uid = str(sources[0].StudyInstanceUID)
    unnamed_sources = [unnamed(source) for source in sources]
    algorithm = hd.sr.AlgorithmIdentification(name=PRODUCT, version=__version__, parameters=list(run.algorithm) or None)
    groups = [_nodule_group(nodule, run.tracking_uid(study_uid, nodule.track), algorithm) for nodule in nodules]
    patient_uid = run.tracking_uid(study_uid, 0)
    if patient_probability is not None:
        groups.append(_patient_group(nodules, patient_probability, patient_uid, algorithm))
    else:
        groups.append(_empty_group(sources[0], patient_uid, algorithm))
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=IMPLEMENTATION_UID, name=PRODUCT, manufacturer_name=PRODUCT, model_name=PRODUCT, serial_number=__version__
    )
    context = hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"), observer_identifying_attributes=device
        )
    )
    listed = [source for source in unnamed_sources if source.SOPClassUID not in RETIRED]  # highdicom lists no others
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=codes.ULTRASOUND_OF_THYROID,
        imaging_measurements=groups,
        referenced_images=listed or None,
    )
    content[0].ContentSequence.append(_text(codes.COMMENT, _statement(nodules, complete, rejections or {})))
    made = hd.sr.Comprehensive3DSR(
        evidence=unnamed_sources,
        content=content,
        series_instance_uid=run.series_uid(study_uid, KIND),
        series_number=SERIES_NUMBER,
        sop_instance_uid=run.instance_uid(study_uid, KIND, "1"),
        instance_number=1,
        manufacturer=PRODUCT,
        is_complete=complete,
        is_final=False,
        is_verified=False,
    )
    made.CompletionFlag = "COMPLETE" if complete else "PARTIAL"
    stamp(made, sources[0], run, kind=KIND, name="1", number=SERIES_NUMBER, label=SERIES_LABEL)
    return made


def with_reader_notes(report: Dataset, notes: Mapping[int, tuple[str, str]], run: RunIdentity) -> Dataset:
    """A new version of a report in which a reader's own category and note stand beside each nodule, as his.

    Args:
        report: as `structured_report` made it.
        notes: by track number, C-TIRADS category and note; either may be "".
        run: of the new version.
    """
    made = deepcopy(report)
    uid = run.instance_uid(str(report.StudyInstanceUID), KIND, "1")
    for group in _groups(made):
        category, note = notes.get(_track_of(group), ("", ""))
        if category:
            group.ContentSequence.append(_text(codes.READER_CTIRADS, category))
        if note:
            group.ContentSequence.append(_text(codes.READER_NOTE, note))
    made.PredecessorDocumentsSequence = [_predecessor(report)]
    made.SOPInstanceUID = uid
    made.ContentDate = made.InstanceCreationDate = run.created.strftime("%Y%m%d")
    made.ContentTime = made.InstanceCreationTime = run.created.strftime("%H%M%S")
    return made


def _nodule_group(
    nodule: NoduleResult, uid: str, algorithm: hd.sr.AlgorithmIdentification
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    length, area = (codes.MM, codes.MM2) if nodule.measured else (codes.PIXELS, codes.PIXELS)
    measurements = [
        _measurement(codes.PROBABILITY, 100 * nodule.probability, codes.PERCENT, derivation=codes.MAXIMUM),
        _measurement(codes.FRAMES, nodule.frames, codes.FRAMES_UNIT),
    ]
    sizes = ((codes.LONG_AXIS, nodule.long_axis, length), (codes.SHORT_AXIS, nodule.short_axis, length))
    measurements += [
        _measurement(name, size, unit) for name, size, unit in (*sizes, (codes.AREA, nodule.area, area)) if size
    ]
    if nodule.volume_ml is not None:
        measurements.append(_measurement(codes.VOLUME, nodule.volume_ml, codes.ML))
    return _group(_region(nodule), hd.sr.TrackingIdentifier(uid=uid, identifier=nodule.label), algorithm, measurements)


def _patient_group(
    nodules: Sequence[NoduleResult], probability: float, uid: str, algorithm: hd.sr.AlgorithmIdentification
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """The maximum over the nodules that count, the frames that support it, and as its region the picture that set it.

    The nodule's own outline would be drawn twice, one label over the other.
    """
    highest = max(nodules, key=lambda nodule: nodule.probability)
    measurements = [
        _measurement(codes.PROBABILITY, 100 * probability, codes.PERCENT, derivation=codes.MAXIMUM),
        _measurement(codes.FRAMES, highest.frames, codes.FRAMES_UNIT),
    ]
    region = _picture(highest.clip.source, highest.key_frame)
    return _group(region, hd.sr.TrackingIdentifier(uid=uid, identifier=_PATIENT), algorithm, measurements)


def _group(
    region: hd.sr.ImageRegion,
    tracking: hd.sr.TrackingIdentifier,
    algorithm: hd.sr.AlgorithmIdentification,
    measurements: Sequence[Measurement],
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=region,
        tracking_identifier=tracking,
        finding_type=codes.THYROID_NODULE,
        finding_sites=[hd.sr.FindingSite(codes.THYROID)],
        algorithm_id=algorithm,
        measurements=measurements,
    )


def _region(nodule: NoduleResult) -> hd.sr.ImageRegion:
    """The outline in its frame; the detector's box where there is none: OHIF shows no report with a group without."""
    left, top, right, bottom = nodule.box_xyxy
    box = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float32)
    outlined = len(nodule.contour_xy) >= 3
    return _polyline(nodule.clip.source, _closed(nodule.contour_xy) if outlined else box, nodule.key_frame)


def _picture(source: Dataset, frame: int) -> hd.sr.ImageRegion:
    right, bottom = int(source.Columns), int(source.Rows)
    corners = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom), (0, 0)], np.float32)
    return _polyline(source, corners, frame)


def _polyline(source: Dataset, points: np.ndarray, frame: int) -> hd.sr.ImageRegion:
    frames = [frame + 1] if int(source.NumberOfFrames) > 1 else None
    return hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=points,
        source_image=hd.sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID, frames),
    )


def _empty_group(
    source: Dataset, uid: str, algorithm: hd.sr.AlgorithmIdentification
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Where no nodule counts: no probability, and no frame that supports one. TID 1500 wants a measurement."""
    measurements = [_measurement(codes.FRAMES, 0, codes.FRAMES_UNIT)]
    tracking = hd.sr.TrackingIdentifier(uid=uid, identifier=_PATIENT)
    return _group(_picture(source, 0), tracking, algorithm, measurements)


def _measurement(
    name: CodedConcept, value: float, unit: CodedConcept, derivation: CodedConcept | None = None
) -> Measurement:
    return Measurement(name=name, value=round(value, 4), unit=unit, derivation=derivation)


def _text(name: CodedConcept, value: str) -> TextContentItem:
    return TextContentItem(name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS)


def _statement(nodules: Sequence[NoduleResult], complete: bool, rejections: Mapping[str, int]) -> str:
    found = f"{len(nodules)} nodule{'' if len(nodules) == 1 else 's'} seen long enough to count"
    extent = "" if complete else " The analysis is incomplete."
    extent += "".join(f" Nothing was looked for in {count} frames: {why}." for why, count in rejections.items())
    return (
        f"{RESEARCH_ONLY}. Found by a program and not verified by a reader: {found}.{extent} The probability is that of"
        " a classifier; it is no TI-RADS category."
    )


def _closed(contour_xy: np.ndarray) -> np.ndarray:
    """A polyline whose last point is its first (TID 1410); the middle of pixel 0 is 0.5 (PS3.3, C.18.6.1.1)."""
    return np.vstack([contour_xy, contour_xy[:1]]).astype(np.float32) + 0.5


def _groups(report: Dataset) -> list[Dataset]:
    """The measurement groups (125007, DCM) of a report."""
    containers = [item for item in report.ContentSequence if _is_named(item, "126010")]
    return [group for container in containers for group in container.ContentSequence if _is_named(group, "125007")]


def _track_of(group: Dataset) -> int:
    names = [str(item.TextValue) for item in group.ContentSequence if _is_named(item, "112039")]
    number = names[0].rpartition(" ")[2] if names else ""
    return int(number) if number.isdecimal() else 0


def _is_named(item: Dataset, code: str) -> bool:
    return "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == code


def _predecessor(report: Dataset) -> Dataset:
    sop = Dataset()
    sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, [sop]
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, [series]
    return study
