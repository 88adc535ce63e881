"""A folder on any file system that fsspec knows; a file in it is there as a whole or not at all."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from streamer._files import write_whole
from streamer.archive.library import require
from streamer.errors import OutputError, SettingsError

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"})
"""Where an object appears with its last byte: no second name is needed."""
_REMEDIES: dict[int | None, str] = {
    errno.EACCES: "allow it",
    errno.EPERM: "allow it",
    errno.EROFS: "allow it, or choose another --output",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EEXIST: "move the file of that name away, or choose another --output",
    errno.ENOTDIR: "move the file that stands where a folder should be away, or choose another --output",
    errno.EISDIR: "move the folder of that name away, or choose another --output",
}
"""What to do about what a file system said."""


class Target:
    """Writes whole files below one folder.

    Args:
        url: local path, or a URL such as `s3://bucket/results`.

    Raises:
        SettingsError: no such file system is known, or its library is not installed.
        OutputError: the folder cannot be made.
    """

    def __init__(self, url: str | Path) -> None:
        self._fs, self._root = filesystem(str(url))
        protocols = self._fs.protocol if isinstance(self._fs.protocol, (tuple, list)) else (self._fs.protocol,)
        self.local = Path(self._root) if "file" in protocols else None
        self._atomic = not _OBJECT_STORES.isdisjoint(protocols)
        with self._errors(""):
            self._fs.makedirs(self._root, exist_ok=True)

    def path(self, name: str) -> str:
        """The full path of a file, for the file system's own functions."""
        return f"{self._root}/{name}"

    def shown(self, name: str = "") -> str:
        """Where a file lies as a user writes it: the path, or a URL with its scheme."""
        path = self.path(name).rstrip("/")
        return path if self.local is not None else str(self._fs.unstrip_protocol(path))

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, for pyarrow."""
        return self._fs

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole; folders are made.

        Raises:
            OutputError: it cannot be written; a file that was there is as it was.
        """
        path = self.path(name)
        if self.local is not None:
            with self._errors(name):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), content)
            return
        with self._errors(name):
            if self._atomic:
                self._fs.pipe_file(path, content)
                return
            folder, _, own = path.rpartition("/")
            self._fs.makedirs(folder, exist_ok=True)
            partial = f"{folder}/.partial-{uuid.uuid4().hex}-{own}"
            self._fs.pipe_file(partial, content)
            self._fs.mv(partial, path)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none.

        Raises:
            OutputError: it cannot be read.
        """
        try:
            with self._errors(name, "read"):
                return cast(bytes, self._fs.cat_file(self.path(name)))
        except FileNotFoundError:
            return None

    def open(self, name: str) -> BinaryIO:
        """A file to read from.

        Raises:
            OutputError: it cannot be opened.
        """
        with self._errors(name, "read"):
            return cast(BinaryIO, self._fs.open(self.path(name), "rb"))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; hidden ones and those of folders below are left out.

        Raises:
            OutputError: it cannot be listed.
        """
        try:
            with self._errors(folder, "read"):
                found = self._fs.ls(self.path(folder), detail=True, refresh=True)
        except FileNotFoundError:
            return []
        names = (str(one["name"]).rsplit("/", 1)[-1] for one in found if one["type"] == "file")
        return sorted(name for name in names if name and not name.startswith("."))

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error.

        Raises:
            OutputError: it cannot be removed.
        """
        try:
            with self._errors(name, "remove"):
                self._fs.rm_file(self.path(name))
        except FileNotFoundError:
            return

    def put_folder(self, folder: Path, name: str) -> None:
        """Copy a local folder's files below `name`; the last in order of name is no marker of anything.

        Raises:
            OutputError: one cannot be copied.
        """
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.write(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    @contextmanager
    def _errors(self, name: str, action: str = "write") -> Iterator[None]:
        """Turn whatever a file system raises into one line; a missing file passes through."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            remedy = _REMEDIES.get(getattr(error, "errno", None), "make it possible")
            raise OutputError(
                f"cannot {action} {self.shown(name)}: {why}; {remedy}, and run the same command again"
            ) from error


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system behind a URL or path, and the path in it.

    Raises:
        SettingsError: no such file system is known, or its library is not installed.
    """
    require("fsspec")
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        scheme = url.partition("://")[0]
        raise SettingsError(f"cannot use {scheme}://: {' '.join(str(error).split())}") from error
    return fs, str(path).rstrip("/") or "/"
