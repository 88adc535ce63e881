"""Which DICOM objects are ultrasound pictures, and what the others are called (PS3.4, PS3.6 annex A)."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.uid import UID

from streamer.dicom.attributes import text

PRODUCT = "streamer"
"""Manufacturer and model name in what this program writes."""

ULTRASOUND = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame, retired
        "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound, retired
        "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
    }
)
RETIRED = {
    "1.2.840.10008.5.1.4.1.1.3": "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.6": "1.2.840.10008.5.1.4.1.1.6.1",
}
"""Retired ultrasound classes, and what replaced them."""

SECONDARY_CAPTURE = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.7.2",  # multi-frame greyscale byte
        "1.2.840.10008.5.1.4.1.1.7.3",  # multi-frame greyscale word
        "1.2.840.10008.5.1.4.1.1.7.4",  # multi-frame true colour
    }
)
MULTI_FRAME = (ULTRASOUND | SECONDARY_CAPTURE) - {
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.7",
}
"""Classes of which a single frame can be referred to."""

RESULTS = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
        "1.2.840.10008.5.1.4.1.1.11.2",  # Color Softcopy Presentation State
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
    }
)
"""Classes of what this program writes, beside secondary captures."""

DICOMDIR = "1.2.840.10008.1.3.10"
_UNSAID_MODALITIES = ("", "US", "OT", "SC")


def refusal(data: Dataset) -> str | None:
    """Why an object is no ultrasound picture, as the end of a sentence; None where it is one.

    A secondary capture counts where its modality says ultrasound, or nothing ("OT", "SC", none).
    """
    uid, modality = text(data, "SOPClassUID"), text(data, "Modality").upper()
    if uid in ULTRASOUND or (uid in SECONDARY_CAPTURE and modality in _UNSAID_MODALITIES):
        return None
    if not uid and modality in _UNSAID_MODALITIES:  # a data set without its class, which may still be a picture
        return None
    if uid == DICOMDIR:
        return "is a DICOMDIR; give the folder it lies in"
    if uid in SECONDARY_CAPTURE:
        return "is a secondary capture of another modality than ultrasound"
    return f"is no ultrasound picture but {class_name(uid)}"


def class_name(uid: str) -> str:
    """What an object is, in the standard's words ("CT Image"); never text from the file itself."""
    if uid not in UID_dictionary:
        return "an object of a private or unknown kind"
    return str(UID(uid).name).removesuffix(" Storage").removesuffix(" (Retired)")


def made_by_streamer(data: Dataset) -> bool:
    """Whether it is a result of ours, which lies in a study beside the pictures it was made from."""
    return text(data, "ManufacturerModelName") == PRODUCT and text(data, "Manufacturer") == PRODUCT
