"""DICOMweb as a client: QIDO-RS to find, WADO-RS to fetch (PS3.18, chapter 10)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from python_multipart.multipart import MultipartParser, parse_options_header

from streamer.errors import InputError

_TIMEOUT_S = 60.0
_PAGE = 200


def client(url: str) -> httpx.Client:
    """A connection to a server. A login for its host is taken from `$NETRC`, else `~/.netrc`.

    Raises:
        InputError: that file cannot be read.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url} is no address of a DICOMweb server, such as https://pacs/dicom-web")
    netrc = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        login = httpx.NetRCAuth(str(netrc)) if netrc.is_file() else None
    except Exception as error:  # netrc's own, which quotes the file
        raise InputError(f"{netrc} cannot be read as logins; correct it") from error
    try:
        return httpx.Client(auth=login, timeout=_TIMEOUT_S, follow_redirects=False, base_url=url.rstrip("/"))
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"{url} is no address of a DICOMweb server, such as https://pacs/dicom-web") from error


def status_line(answer: httpx.Response) -> str:
    """What is wrong with an answer; its text, which may name a patient, stays out."""
    hints = {401: " (it wants a login: put it into ~/.netrc)", 403: " (not allowed)", 404: " (no such address)"}
    return f"the server answers with HTTP {answer.status_code}{hints.get(answer.status_code, '')}"


def find(web: httpx.Client, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Matches of a QIDO-RS query, page by page.

    Args:
        web: as from `client`.
        path: "/studies", "/studies/UID/series" or "/studies/UID/series/UID/instances".
        query: attributes by keyword, as the standard matches them.

    Raises:
        InputError: the server cannot be reached, or does not answer as the standard says.
    """
    offset = 0
    while True:
        page = _page(web, path, {**query, "limit": str(_PAGE), "offset": str(offset)})
        yield from page
        if len(page) < _PAGE:
            return
        offset += len(page)


def _page(web: httpx.Client, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    try:
        answer = web.get(path, params=dict(query), headers={"Accept": "application/dicom+json"})
    except httpx.HTTPError as error:
        raise InputError(f"{web.base_url} does not answer ({type(error).__name__}); see --web") from error
    if answer.status_code == 204:
        return []
    if answer.status_code != 200:
        raise InputError(f"{web.base_url}: {status_line(answer)}")
    try:
        found = answer.json()
    except ValueError as error:
        raise InputError(f"{web.base_url} answers, but not as DICOMweb; see --web") from error
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def value_of(item: Mapping[str, Any], tag: str) -> str:
    """The first value of an attribute in DICOM JSON; "" where there is none."""
    entry = item.get(tag)
    values = entry.get("Value") if isinstance(entry, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def fetch(web: httpx.Client, path: str, target: Path) -> None:
    """Write the object behind a WADO-RS address to a file, 64 KiB in memory at a time.

    Raises:
        InputError: the server does not give it.
        OSError: it cannot be written.
    """
    headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    try:
        with web.stream("GET", path, headers=headers) as answer:
            if answer.status_code != 200:
                raise InputError(f"{web.base_url}: {status_line(answer)}")
            kind, options = parse_options_header(answer.headers.get("content-type", ""))
            with target.open("wb") as file:
                if kind == b"application/dicom":
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
                    return
                if kind != b"multipart/related" or b"boundary" not in options:
                    raise InputError(f"{web.base_url} answers, but not as DICOMweb; see --web")
                _write_part(answer, options[b"boundary"], file.write)
    except httpx.HTTPError as error:
        raise InputError(f"{web.base_url} broke off ({type(error).__name__}); run the command again") from error


def _write_part(answer: httpx.Response, boundary: bytes, write: Any) -> None:
    """The content of the only part; a body that breaks off is an error of httpx, or leaves no closing boundary."""
    ended: list[bool] = []
    parser = MultipartParser(
        boundary,
        {
            "on_part_data": lambda data, start, end: write(data[start:end]) if not ended else None,
            "on_part_end": lambda: ended.append(True),
        },
    )
    try:
        for chunk in answer.iter_bytes():
            parser.write(chunk)
    except ValueError as error:
        raise InputError("the server's answer is malformed; run the command again") from error
    if not ended:
        raise InputError("the server's answer broke off; run the command again")
