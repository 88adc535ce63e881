"""Codes of the terms that results use (PS3.16), and the few that the standard has no code for."""

from __future__ import annotations

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

THYROID = codes.SCT.Thyroid
THYROID_NODULE = codes.SCT.ThyroidNodule
LONG_AXIS = codes.SCT.LongAxis
SHORT_AXIS = codes.SCT.ShortAxis
AREA = codes.SCT.Area
VOLUME = codes.DCM.VolumeEstimatedFromTwoNonCoplanar2DRegions
PROBABILITY = codes.DCM.ProbabilityOfCancer
FRAMES = codes.DCM.NumberOfFrames
MAXIMUM = codes.SCT.Maximum
COMMENT = codes.DCM.Comment
OF_INTEREST = codes.DCM.OfInterest

MM = CodedConcept("mm", "UCUM", "millimeter")
MM2 = CodedConcept("mm2", "UCUM", "square millimeter")
ML = CodedConcept("mL", "UCUM", "milliliter")
PIXELS = CodedConcept("{pixels}", "UCUM", "pixels")
FRAMES_UNIT = CodedConcept("{frames}", "UCUM", "frames")
PERCENT = CodedConcept("%", "UCUM", "percent")

ULTRASOUND_OF_THYROID = CodedConcept("25010-0", "LN", "US Thyroid gland")
READER_CTIRADS = CodedConcept("reader-c-tirads", "99STREAMER", "C-TIRADS category given by the reader")
READER_NOTE = CodedConcept("reader-note", "99STREAMER", "Note of the reader")
