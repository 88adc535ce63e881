"""Which files of a folder are the stills of a clip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamer.sources._container import is_video
from streamer.sources._still_magic import HEAD_BYTES, is_still
from streamer.sources._suffixes import STILLS
from streamer.sources.base import display_name

# What annotation tools and data sets write beside a picture: "frame1_mask.png", "case (3)_mask_1.png", "mask-012.png".
_KINDS = (
    "masks?|seg|segmentation|labels?|gt|ground[-_ ]?truth|annotations?|contours?|roi|overlay|heatmap"
    "|thumb|thumbnail|preview"
)
_AFTER = re.compile(rf"(?P<rest>.+?)[-_. ]+(?:{_KINDS})(?:[-_. ]*\d+)?", re.IGNORECASE)
_BEFORE = re.compile(rf"(?:{_KINDS})[-_. ]*(?P<rest>\d+)", re.IGNORECASE)
_NAMED = 3


def stills_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The stills of a folder, found by content and ordered by the numbers in their names, and what was left out.

    Hidden files (".thumbnail.png", and those that macOS puts beside each file) are no stills, nor is what belongs to
    another still by its name, such as a mask. A file that is named as the stills are and holds none, as an export that
    broke off leaves it, is a still that is lost.

    Returns:
        Paths, and remarks of one line each.

    Raises:
        OSError: the folder cannot be listed.
    """
    files = [path for path in folder.iterdir() if path.is_file() or (path.is_symlink() and not path.exists())]
    stills = [path for path in files if _is_still_file(path)]
    suffixes = STILLS.intersection(path.suffix.casefold() for path in stills if not path.name.startswith("."))
    lost = (path for path in files if path.suffix.casefold() in suffixes and not path.name.startswith("."))
    stills = sorted({*stills, *lost}, key=natural_order)
    seen = [path for path in stills if not path.name.startswith(".")]
    frames = [path for path in seen if not _belongs_to_another(path, seen)]
    hidden, beside = len(stills) - len(seen), [path for path in seen if path not in frames]
    remarks = []
    if hidden:
        remarks.append(f"{hidden} hidden picture{' is' if hidden == 1 else 's are'} left out")
    if beside:
        remarks.append(f"left out as masks and the like of other stills: {_names(beside)}")
    videos = _videos(path for path in files if path not in seen) if frames else []
    if videos:
        remarks.append(f"videos beside stills are left out; give them by themselves: {_names(videos)}")
    return frames, remarks


def _videos(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        (path for path in paths if not path.name.startswith(".") and path.exists() and is_video(path)),
        key=natural_order,
    )


def holds_stills(folder: Path) -> bool:
    """Whether a folder holds a still that is not hidden, by content; False where it cannot be listed."""
    try:
        seen = (path for path in folder.iterdir() if not path.name.startswith("."))
        return any(path.is_file() and _is_still_file(path) for path in seen)
    except OSError:
        return False


def _belongs_to_another(path: Path, stills: Sequence[Path]) -> bool:
    """Whether a name says that it goes with another still."""
    after, before = _AFTER.fullmatch(path.stem), _BEFORE.fullmatch(path.stem)
    if after is not None:
        return any(other.stem.casefold() == after["rest"].casefold() for other in stills)
    if before is None:
        return False
    number = int(before["rest"])
    return any(_number(other) == number for other in stills if not _BEFORE.fullmatch(other.stem))


def _number(path: Path) -> int | None:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def _names(paths: Sequence[Path]) -> str:
    names = ", ".join(display_name(path) for path in paths[:_NAMED])
    return names + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def _is_still_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_still(file.read(HEAD_BYTES))
    except OSError:
        return False


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Sorts frame2 before frame10: text and numbers alternate, so that like is compared with like."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdecimal() else part.casefold() for part in parts], path.name
