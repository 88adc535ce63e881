"""What a study leaves behind: overlay video, frames.jsonl, report.json, report.html and a picture a nodule."""

from streamer.outputs.folder import is_result
from streamer.outputs.study_writer import StudyWriter

__all__ = ["StudyWriter", "is_result"]
