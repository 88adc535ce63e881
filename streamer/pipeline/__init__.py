"""Frames to tracked nodules, nodules to the patient: analyse one source or several."""
