"""Standard output and error as they may be: a terminal that cannot show a character, a full disk, a closed window."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.text import Text


@contextmanager
def standard_streams() -> Iterator[None]:
    """Keep a failing standard stream from ending the work.

    Where standard error cannot be written, nothing is said any more. Where standard output cannot be written, the work
    goes on and the exit code is 2 at the end. A reader that is gone (`| head`) ends the work with exit code 1.
    """
    failures: list[OSError] = []
    _keep_descriptors()
    out, error_out = sys.stdout, sys.stderr
    for stream in (out, error_out):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if out is not None:
        sys.stdout = cast(TextIO, _Stream(out, failures.append, to_reader=True))
    if error_out is not None:
        sys.stderr = cast(TextIO, _Stream(error_out, lambda _: None))
    ended: SystemExit | None = None
    try:
        yield
    except SystemExit as error:
        ended = error
    finally:
        if not _flushed(sys.stdout, sys.stderr):
            ended = SystemExit(1)
        sys.stdout, sys.stderr = out, error_out
    if failures and not (ended is not None and ended.code):
        print_error(f"standard output cannot be written: {failures[0].strerror}; the results themselves are written")
        sys.exit(2)
    if ended is not None:
        raise ended


def _keep_descriptors() -> None:
    """Let nothing but the null device take the place of a stream that was closed (`>&-`).

    Else a file of results would, and what a library prints would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free


def _flushed(*streams: TextIO | None) -> bool:
    """Flush what there is; False where the reader is gone."""
    for stream in streams:
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            _silence(cast(TextIO, stream))
            return False
    return True


def _silence(stream: TextIO) -> None:
    """Let what is written from now on go nowhere, so that the interpreter can flush the stream at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def print_error(message: str) -> None:
    """One line on standard error."""
    line = " ".join(message.split())
    Console(stderr=True).print(Text.assemble(("error:", "bold red"), " ", line), soft_wrap=True)


class _Stream:
    """A text stream that goes silent when it fails first."""

    def __init__(self, stream: TextIO, on_failure: Callable[[OSError], None], *, to_reader: bool = False) -> None:
        self._stream, self._on_failure, self._to_reader = stream, on_failure, to_reader

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self._to_reader and error.errno == errno.EPIPE:
            raise error
        self._on_failure(error)
        _silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
