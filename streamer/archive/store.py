"""The tables on a disk or in a bucket: parts that are written whole, readable at any moment, resumed after any kill.

Layout, below one folder: `TABLE/analysis=ID/part-*.parquet` for `clips`, `nodules` and `frames`. Rows of nodules and
frames are written before the rows of their clips, so that a clip in `clips` is always whole; what a kill leaves without
its clip is removed by the next run, which finds the parts in question in `pending.json`.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer._files import lock_folder
from streamer.archive.index import DoneIndex, hash64
from streamer.archive.library import require
from streamer.archive.tables import CLIPS, FRAMES, NODULES, as_table
from streamer.archive.target import Target
from streamer.errors import OutputError

if TYPE_CHECKING:
    import pyarrow as pa

_PENDING = "pending.json"
_INDEXED = ("uri", "key", "status", "failure", "fingerprint", "patient", "study", "has_frames", "folder")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are written together."""

    clips: Sequence[Mapping[str, Any]]
    nodules: Sequence[Mapping[str, Any]]
    frames: Sequence[Mapping[str, Any]]


class Store:
    """The tables of one analysis.

    Args:
        target: where they lie.
        analysis: its name.
    """

    def __init__(self, target: Target, analysis: str) -> None:
        require("pyarrow")
        self._target, self._analysis = target, analysis
        self._parts: list[str] = []
        self._counter = 0

    def folder(self, table: str) -> str:
        """The folder of a table's parts, below the target."""
        return f"{table}/analysis={self._analysis}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out while the context is open; on a local disk only.

        Raises:
            OutputError: another run writes here.
        """
        if self._target.local is None:
            yield
            return
        descriptor = lock_folder(self._target.local)
        if descriptor is None:
            raise OutputError(f"another run writes to {self._target.local}; wait for it, or choose another --output")
        try:
            yield
        finally:
            os.close(descriptor)

    def open(self) -> DoneIndex:
        """Remove what a kill left behind, and read which clips are done.

        Raises:
            OutputError: the tables cannot be read or mended.
        """
        self._recover()
        self._parts = self.parts(CLIPS)
        index = DoneIndex()
        for number, part in enumerate(self._parts):
            index.add(self.read(CLIPS, part, columns=_INDEXED).to_pylist(), part=number)
        index.finish()
        return index

    def commit(self, batch: Batch, *, replaced: Mapping[int, int]) -> None:
        """Add rows, in place of earlier rows of the same clips.

        Args:
            batch: the rows.
            replaced: hashes of the URIs whose earlier rows go, with the number of the part that holds them.

        Raises:
            OutputError: they cannot be written; the tables are as they were, or the next run mends them.
        """
        self._counter += 1
        name = f"part-{time.time_ns():016x}-{self._counter:05d}.parquet"
        old = sorted({self._parts[number] for number in replaced.values()})
        pending = {"new": name, "old": old, "keys": sorted({row["key"] for row in batch.nodules})}
        self._target.write(self._pending, json.dumps(pending).encode())
        self._write(FRAMES, name, batch.frames)
        self._write(NODULES, name, batch.nodules, empty=True)  # a query of the table needs a part, also without rows
        had_results = [self._without(part, replaced) for part in old]
        self._write(CLIPS, name, batch.clips)
        if any(had_results):
            self._recover()  # rows of nodules whose clips were replaced
        else:
            self._target.remove(self._pending)

    def update(self, changes: Mapping[int, tuple[int, Mapping[str, Any]]]) -> None:
        """Change columns of clips without analysing them again.

        Args:
            changes: by hash of the URI: number of the part, and the new values.

        Raises:
            OutputError: a part cannot be written; it is as it was.
        """
        for part in sorted({self._parts[number] for number, _ in changes.values()}):
            rows = [
                {**row, **changes[uri][1]} if (uri := hash64(row["uri"])) in changes else row
                for row in self.read(CLIPS, part).to_pylist()
            ]
            self._write(CLIPS, part, rows)

    def read(self, table: str, part: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A part of a table.

        Raises:
            OutputError: it cannot be read, or is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = f"{self.folder(table)}/{part}"
        try:
            with self._target.open(name) as file:
                return pq.ParquetFile(file).read(columns=None if columns is None else list(columns))
        except (pa.ArrowException, FileNotFoundError, OSError) as error:
            raise OutputError(
                f"cannot read {self._target.path(name)}: it is damaged; remove it and run again"
            ) from error

    def parts(self, table: str) -> list[str]:
        """Names of a table's parts, in the order in which they were written."""
        return [name for name in self._target.names(self.folder(table)) if name.endswith(".parquet")]

    def write_table(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a table that is made anew from the others, as one part."""
        self._write(table, f"{table}.parquet", list(rows), empty=True)

    def _write(self, table: str, part: str, rows: Sequence[Mapping[str, Any]], *, empty: bool = False) -> None:
        import pyarrow.parquet as pq

        name = f"{self.folder(table)}/{part}"
        if not rows and not empty:
            return
        buffer = io.BytesIO()
        pq.write_table(as_table(table, rows), buffer, compression="zstd")
        self._target.write(name, buffer.getvalue())

    def _without(self, part: str, uris: Collection[int]) -> bool:
        """Take clips out of a part; True if any of them had been analysed."""
        rows = self.read(CLIPS, part).to_pylist()
        kept = [row for row in rows if hash64(row["uri"]) not in uris]
        if kept:
            self._write(CLIPS, part, kept)
        else:
            self._target.remove(f"{self.folder(CLIPS)}/{part}")
        return any(row["status"] == "analysed" and hash64(row["uri"]) in uris for row in rows)

    @property
    def _pending(self) -> str:
        return f"{self.folder(CLIPS)}/{_PENDING}"

    def _recover(self) -> None:
        """Remove rows of nodules and frames that belong to no clip, from the parts that were being written."""
        content = self._target.read(self._pending)
        if content is None:
            return
        pending = json.loads(content)
        parts = self.parts(CLIPS)
        committed = pending["new"] in parts
        keys: set[str] = set()
        for part in parts:
            keys.update(key for key in self.read(CLIPS, part, columns=("key",))["key"].to_pylist() if key)
        keys.difference_update(pending["keys"] if committed else ())  # those are in the new part
        for table in (NODULES, FRAMES):
            there = set(self.parts(table))
            for part in there & set(pending["old"]):
                self._keep(table, part, keys)
            if not committed and pending["new"] in there:
                self._target.remove(f"{self.folder(table)}/{pending['new']}")
        self._target.remove(self._pending)

    def _keep(self, table: str, part: str, keys: Collection[str]) -> None:
        rows = self.read(table, part).to_pylist()
        kept = [row for row in rows if row["key"] in keys]
        if len(kept) < len(rows):
            self._write(table, part, kept, empty=True)
