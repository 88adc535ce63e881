"""A simulated thyroid scintigraphy study with known truth: anatomy, gamma camera, two or more hospitals, exports."""

from streamer.scintigraphy.phantom.anatomy import Subject, draw_subject
from streamer.scintigraphy.phantom.camera import HOSPITALS, Acquisition, Hospital, acquire
from streamer.scintigraphy.phantom.study import PhantomStudy, write_study

__all__ = [
    "HOSPITALS",
    "Acquisition",
    "Hospital",
    "PhantomStudy",
    "Subject",
    "acquire",
    "draw_subject",
    "write_study",
]
