"""Finds the clips below what a user gave: folders, globs, a CSV, on a disk or behind any URL that fsspec knows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from streamer.archive.clips import ClipTask, Failure, Outcome
from streamer.archive.grouping import PathPattern
from streamer.archive.target import filesystem
from streamer.errors import InputError
from streamer.sources._still_folder import natural_order
from streamer.sources._suffixes import DICOM, STILLS, VIDEOS

_CLIPS = VIDEOS | DICOM | {".ogv", ".jp2"}
"""The last two are not read: a row says so."""
_GLOB = frozenset("*?[")
_OWN = re.compile(r"(?:.*/)?(?:pictures/analysis=[0-9a-f]{12}|folders/[0-9a-f]{32})", re.DOTALL)
"""Pictures and videos that an archive has written, where its output lies below the input."""
_COLUMNS = ("path", "patient", "study")


def list_clips(given: str, *, pattern: PathPattern | None = None) -> Iterator[ClipTask | Outcome]:
    """The clips behind one input, in natural order of their folders and names.

    A file with a known suffix, or none (DICOM often has none), is a clip; other files, hidden ones and hidden folders
    are passed over, and so is what an archive has written. Two or more stills in one folder are one clip, as of
    `streamer run`; a single one is a clip, too, and so is each that a glob matches.

    Args:
        given: a folder, file, glob, URL of these, or a CSV with the column `path` and perhaps `patient` and `study`;
            its paths are relative to the CSV's own folder.
        pattern: tells patient and study by the path, where no CSV does.

    Yields:
        Clips; and for what cannot be listed an outcome that says so.

    Raises:
        InputError: there is nothing of that name, or the CSV has no such column or no row.
        SettingsError: the file system is not known or not installed.
    """
    fs, path = filesystem(given)
    found = _from_csv(fs, path, given) if path.lower().endswith(".csv") else _below(fs, path, given)
    root = _root(_uri(fs, path))
    for one in found:
        if isinstance(one, ClipTask) and pattern is not None and one.patient is None:
            patient, study = pattern.match(one.uri.removeprefix(root))
            yield replace(one, patient=patient, study=study)
        else:
            yield one


def _root(uri: str) -> str:
    """What of a path the user gave, and what therefore says nothing of a patient: a folder, that of a glob."""
    at = min((uri.index(sign) for sign in _GLOB if sign in uri), default=None)
    return f"{uri.rstrip('/')}/" if at is None else uri[: uri.rindex("/", 0, at) + 1]


def _below(fs: Any, path: str, given: str) -> Iterator[ClipTask | Outcome]:
    if _GLOB & set(path) and not fs.exists(path):
        matches = _asked(lambda: fs.glob(path, detail=True), given)
        if not matches:
            raise InputError(f"nothing matches {given}")
        entries = sorted(matches.values(), key=_order)
        yield from _in_folder(fs, "", [one for one in entries if _is_file(fs, one)], stills_are_clips=True)
        for one in entries:
            if one["type"] == "directory":
                yield from _walk(fs, str(one["name"]))
        return
    info = _asked(lambda: fs.info(path), given)
    if info["type"] == "file":
        yield _clip(fs, [info])
    else:
        yield from _walk(fs, path)


def _walk(fs: Any, folder: str) -> Iterator[ClipTask | Outcome]:
    """Depth first, one folder at a time: a million names are never in memory together."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            entries = sorted(fs.ls(place, detail=True), key=_order)
        except Exception as error:  # a file system of any make
            why = getattr(error, "strerror", None) or type(error).__name__
            uri = _uri(fs, place)
            failure = Failure(kind="listing", reason=f"the folder cannot be read: {why}")
            yield Outcome(task=ClipTask(uri=uri, files=()), failure=failure)
            continue
        shown = [one for one in entries if not _name(one).startswith(".") and _name(one)]
        yield from _in_folder(fs, place, [one for one in shown if _is_file(fs, one)])
        folders = [str(one["name"]).rstrip("/") for one in shown if one["type"] == "directory"]
        waiting.extend(name for name in reversed(folders) if name != place.rstrip("/") and not _OWN.fullmatch(name))


def _in_folder(
    fs: Any, folder: str, files: Iterable[Mapping[str, Any]], *, stills_are_clips: bool = False
) -> Iterator[ClipTask]:
    stills = []
    for one in files:
        suffix = PurePosixPath(_name(one)).suffix.lower()
        if suffix in _CLIPS or not suffix or suffix[1:].isdigit():  # 1.2.840.113: UIDs as names
            yield _clip(fs, [one])
        elif suffix in STILLS:
            stills.append(one)
    if len(stills) > 1 and not stills_are_clips:
        yield _clip(fs, stills, uri=_uri(fs, folder))
    else:
        yield from (_clip(fs, [one]) for one in stills)


def _from_csv(fs: Any, path: str, given: str) -> Iterator[ClipTask | Outcome]:
    content = _asked(lambda: fs.cat_file(path), given)
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace")))
    if "path" not in (rows.fieldnames or ()):
        raise InputError(f"{given} has no column path; it needs path, and may have patient and study")
    empty = True
    for row in rows:
        empty = False
        named = (row["path"] or "").strip()
        if not named:
            raise InputError(f"{given}, line {rows.line_num}: the path is empty")
        patient, study = ((row.get(name) or "").strip() or None for name in _COLUMNS[1:])
        yield from _from_row(fs, path, named, patient, study)
    if empty:
        raise InputError(f"{given} names no clip")


def _from_row(fs: Any, table: str, named: str, patient: str | None, study: str | None) -> Iterator[ClipTask | Outcome]:
    absolute = "://" in named or named.startswith("/")
    own_fs, path = filesystem(named) if absolute else (fs, f"{table.rpartition('/')[0]}/{named}")
    try:
        found = list(_below(own_fs, path, named))
    except InputError as error:
        uri = _uri(own_fs, path)
        found = [Outcome(task=ClipTask(uri=uri, files=()), failure=Failure(kind="fetch", reason=str(error)))]
    for one in found:
        if isinstance(one, Outcome):
            yield replace(one, task=replace(one.task, patient=patient, study=study))
        else:
            yield replace(one, patient=patient, study=study)


def _asked(question: Any, given: str) -> Any:
    try:
        return question()
    except FileNotFoundError as error:
        raise InputError(f"there is no file or folder {given}") from error
    except Exception as error:  # a file system of any make
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{given} cannot be read: {why}") from error


def _clip(fs: Any, entries: list[Mapping[str, Any]], uri: str | None = None) -> ClipTask:
    sizes = [one.get("size") for one in entries]
    changes = [_modified(one) for one in entries]
    files = tuple(_uri(fs, str(one["name"])) for one in entries)
    return ClipTask(
        uri=files[0] if uri is None else uri,
        files=files,
        size_bytes=None if any(size is None for size in sizes) else sum(int(size or 0) for size in sizes),
        modified=max(changes) if all(changes) else "",
    )


def _is_file(fs: Any, entry: Mapping[str, Any]) -> bool:
    """Whether it is a file, or a link to one; links to folders are left out, since they may lead round in a circle."""
    return entry["type"] == "file" or (bool(entry.get("islink")) and bool(fs.isfile(entry["name"])))


def _modified(entry: Mapping[str, Any]) -> str:
    found = next((entry[name] for name in ("ETag", "etag", "mtime", "LastModified", "updated") if entry.get(name)), "")
    return str(found).strip('"')


def _uri(fs: Any, path: str) -> str:
    """A local path as it is, any other with its protocol."""
    local = "file" in (fs.protocol if isinstance(fs.protocol, (tuple, list)) else (fs.protocol,))
    return path if local else str(fs.unstrip_protocol(path))


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]


def _order(entry: Mapping[str, Any]) -> Any:
    return natural_order(Path(_name(entry)))
