"""What sources share in being closed: at the end of a `with` block, or by another thread while they are read."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from streamer.sources.base import Described


class _Closable(Protocol):
    def close(self) -> None: ...


OpenedT = TypeVar("OpenedT", bound=_Closable)


class SelfClosing:
    """A context manager that closes itself."""

    def close(self) -> None:
        """Release what is held; may be called twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OpenedLive(SelfClosing, Described, Generic[OpenedT]):
    """Base of live sources that are opened when they are made, so that a wrong address is told at once.

    What was opened belongs to the thread that comes first: the one that reads the frames, or one that closes.
    """

    live = True
    expected_frames: int | None = None

    def __init__(self, opened: OpenedT) -> None:
        self._unread: OpenedT | None = opened
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """End the frames; any thread may do so, and twice."""
        self._closed.set()
        unread = self._take_unread()
        if unread is not None:
            unread.close()

    def _take_first(self) -> OpenedT | None:
        """What was opened, for the thread that reads; None where the source is closed already.

        Raises:
            RuntimeError: it has been read before.
        """
        opened = self._take_unread()
        if opened is None and not self._closed.is_set():
            raise RuntimeError("a source gives its frames once; open it again")
        return opened

    def _take_unread(self) -> OpenedT | None:
        with self._lock:
            unread, self._unread = self._unread, None
            return unread
