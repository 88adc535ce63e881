"""From what a user gives to the clips in it: a folder of DICOM files, or a DICOMDIR, holds one or many."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from streamer.dicom.library import require_dicom
from streamer.dicom.magic import dicom_files, is_dicom_file
from streamer.errors import InputError
from streamer.sources._container import is_video
from streamer.sources._still_folder import holds_stills, natural_order, stills_in
from streamer.sources.base import display_name

_LOG = logging.getLogger(__name__)


def expand_clips(paths: Sequence[str | Path], *, one_patient: bool = True) -> list[Path]:
    """The clips of one patient, in order: folders of DICOM files and DICOMDIRs are replaced by what they hold.

    Args:
        paths: what a user gave: clips, stills, folders. A folder of stills, or what is not there, stays as it is; a
            folder without stills gives the videos in it, in natural order of their names.
        one_patient: refuse DICOM files of several patients.

    Raises:
        InputError: the DICOM files belong to several patients, or none is an ultrasound picture.

    Example:
        >>> expand_clips(["sweep.mp4"])
        [PosixPath('sweep.mp4')]
    """
    clips: list[Path] = []
    for path in map(Path, paths):
        files = _dicom_files(path)
        if files is None:
            clips.extend(_videos_in(path) or [path])
            continue
        _tell_of_others(path)
        from streamer.sources._dicom_folder import patients, ultrasound_clips

        found = ultrasound_clips(files, display_name(path))
        if one_patient and patients(found) > 1:
            held = f"{display_name(path)} holds pictures of {patients(found)} patients"
            raise InputError(f"{held}: give the files of one, or run with --each study")
        clips.extend(clip.path for clip in found)
    return clips


def expand_studies(path: str | Path) -> list[list[Path]]:
    """The clips of each study in a folder of DICOM files, or behind a DICOMDIR, in order.

    Args:
        path: the folder or the DICOMDIR.

    Raises:
        InputError: it holds no DICOM files, or none is an ultrasound picture.
    """
    name = display_name(Path(path))
    files = _dicom_files(Path(path))
    if files is None:
        raise InputError(f"{name} is no folder of DICOM files, nor a DICOMDIR; --each study needs one")
    _tell_of_others(Path(path))
    from streamer.sources._dicom_folder import studies, ultrasound_clips

    return [[clip.path for clip in study] for study in studies(ultrasound_clips(files, name))]


def _tell_of_others(path: Path) -> None:
    """Say that videos and stills beside DICOM files are left out: nothing tells whose they are."""
    if not path.is_dir():
        return
    stills, _ = stills_in(path)
    rest = [one for one in path.iterdir() if one.is_file() and not one.name.startswith(".") and one not in stills]
    others = len(stills) + sum(not is_dicom_file(one) and is_video(one) for one in rest)
    if others:
        _LOG.warning(
            "%s holds DICOM files; videos and stills beside them are left out (%d): give them by themselves",
            display_name(path),
            others,
        )


def _videos_in(path: Path) -> list[Path]:
    """The videos in a folder that holds no stills, by content; hidden files are left out."""
    try:
        if not path.is_dir() or holds_stills(path):
            return []
        files = [one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")]
    except (OSError, ValueError):  # `open_source` says what is wrong with it
        return []
    return [one for one in sorted(files, key=natural_order) if is_video(one)]


def _dicom_files(path: Path) -> list[Path] | None:
    """The DICOM files of a folder or behind a DICOMDIR; None for anything else, and for a folder of stills."""
    try:
        folder = path.is_dir()
    except (OSError, ValueError):  # `open_source` says what is wrong with it
        return None
    if folder:
        if holds_stills(path) and not any(is_dicom_file(one) for one in path.iterdir()):
            return None
        files = list(dicom_files(path))
        if files:
            require_dicom(f"{display_name(path)} holds DICOM files, which")
        return _without_dicomdir(files) if files else None
    if not is_dicom_file(path):
        return None
    require_dicom(f"{display_name(path)} is a DICOM file, which")
    from streamer.sources._dicom_folder import files_of_dicomdir, is_dicomdir

    return files_of_dicomdir(path) if is_dicomdir(path) else None


def _without_dicomdir(files: Sequence[Path]) -> list[Path]:
    return [path for path in files if path.name.upper() != "DICOMDIR"]
