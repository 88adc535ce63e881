"""Key images: secondary captures with the overlay burned in, and the key object selection that names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from streamer.dicom.classes import PRODUCT
from streamer.dicom.codes import OF_INTEREST
from streamer.dicom.identity import IMPLEMENTATION_UID, KEY_IMAGES, RESEARCH_ONLY, RunIdentity, save, stamp, unnamed
from streamer.outputs._dicom_images import source_item
from streamer.outputs._dicom_nodules import NoduleResult
from streamer.types import Image
from streamer.version import __version__

KIND, SERIES_NUMBER = KEY_IMAGES, 9003
SERIES_LABEL = "streamer: key images with overlay"
SELECTION_KIND, SELECTION_NUMBER = "key-objects", 9004
SELECTION_LABEL = "streamer: key object selection"
BURNED_IN = f"Overlay of {PRODUCT} burned in. {RESEARCH_ONLY}"


def write_key_image(path: Path, nodule: NoduleResult, image: Image, run: RunIdentity, number: int) -> Dataset:
    """Write a nodule's key frame with its overlay.

    Args:
        path: file to write.
        nodule: that it shows.
        image: RGB with the overlay drawn, shape (height, width, 3).
        run: of which it is a result.
        number: instance number, from 1.

    Returns:
        The object without its pixels, to be referred to.

    Raises:
        OSError: it cannot be written.
    """
    source = nodule.clip.source
    made = Dataset()
    made.SOPClassUID, made.Modality, made.InstanceNumber = SecondaryCaptureImageStorage, str(source.Modality), number
    stamp(made, source, run, kind=KIND, name=str(nodule.track), number=SERIES_NUMBER, label=SERIES_LABEL)
    mark_derived(made, source, [nodule.key_frame])
    made.ImageComments = f"{nodule.label}, frame {nodule.key_frame + 1}"
    made.Rows, made.Columns = image.shape[:2]
    describe_rgb(made)
    pixels = image.tobytes()
    made.PixelData = pixels + b"\0" * (len(pixels) % 2)
    made["PixelData"].VR = "OB"
    save(made, path)
    del made.PixelData
    return made


def write_selection(path: Path, images: Sequence[Dataset], run: RunIdentity) -> None:
    """Write the key object selection.

    Args:
        path: file to write.
        images: key images of one study, at least one.
        run: of which it is a result.

    Raises:
        OSError: it cannot be written.
    """
    study_uid = str(images[0].StudyInstanceUID)
    unnamed_images = [unnamed(image) for image in images]
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=IMPLEMENTATION_UID, name=PRODUCT, manufacturer_name=PRODUCT, model_name=PRODUCT, serial_number=__version__
    )
    content = hd.ko.KeyObjectSelection(
        document_title=OF_INTEREST,
        referenced_objects=unnamed_images,
        observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device),
        description=f"Nodules that count for the patient, highest probability each. {RESEARCH_ONLY}",
    )
    made = hd.ko.KeyObjectSelectionDocument(
        evidence=unnamed_images,
        content=content,
        series_instance_uid=run.series_uid(study_uid, SELECTION_KIND),
        series_number=SELECTION_NUMBER,
        sop_instance_uid=run.instance_uid(study_uid, SELECTION_KIND, "1"),
        instance_number=1,
        manufacturer=PRODUCT,
    )
    kind, label = SELECTION_KIND, SELECTION_LABEL
    stamp(made, images[0], run, kind=kind, name="1", number=SELECTION_NUMBER, label=label)
    save(made, path)


def mark_derived(made: Dataset, source: Dataset, frames: Sequence[int]) -> None:
    """Mark a secondary capture as derived, from which frames, and with an overlay burned in."""
    made.ImageType, made.ConversionType = ["DERIVED", "SECONDARY"], "WSD"
    made.BurnedInAnnotation = "YES"  # the source may show the patient's name, and the overlay is burned in as well
    made.DerivationDescription = BURNED_IN
    made.LossyImageCompression = source.LossyImageCompression
    made.PatientOrientation = made.Laterality = ""
    made.SourceImageSequence = [source_item(source, frames, codes.DCM.SourceImageForImageProcessingOperation)]


def describe_rgb(made: Dataset) -> None:
    """Attributes of 8-bit colour pixels, side by side."""
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
