"""A file of a web server that sends no parts of it, kept in a temporary file: containers need to be sought in."""

from __future__ import annotations

import base64
import shutil
import tempfile
from contextlib import suppress
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

_SILENCE_S = 10.0
_PIECE_BYTES = 1024 * 1024


def downloaded(url: str) -> BinaryIO:
    """All that the server sends, to be read from its beginning; gone once it is closed.

    Args:
        url: of http or https; a user and password in it are sent as FFmpeg sends them (RFC 7617).

    Raises:
        OSError: the server, or the temporary folder, fails.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = Request(parts._replace(netloc=host).geturl())  # http or https, as `url_address` has seen
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  # the caller closes it
    try:
        with urlopen(request, timeout=_SILENCE_S) as answer:
            shutil.copyfileobj(answer, file, _PIECE_BYTES)
        file.seek(0)
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    return file
