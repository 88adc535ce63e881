"""What the DICOM source, the DICOM outputs, the node and the de-identification share; needs the extra `dicom`.

Header text (names, dates, descriptions) stays out of every message and log: errors name the file, the kind of object
from the standard's own dictionary, and numbers.
"""
