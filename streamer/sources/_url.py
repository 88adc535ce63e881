"""Addresses of live pictures: what may be opened, how it is opened, and what may be said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streamer.errors import InputError
from streamer.sources._container import FORMATS

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

# FFmpeg's protocols behind each scheme; none reads a file of this machine.
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tcp,tls",
    "udp": "udp",
    "tcp": "tcp",
}
# Playlists stay out, as for files: they name other hosts.
_FORMATS = ",".join((*FORMATS, "rtsp", "mpjpeg", "flv"))
_HARMLESS_PATH = re.compile(r"[A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Address:
    """Something that FFmpeg opens.

    Attributes:
        location: URL or device, as FFmpeg opens it; it may hold a password, and is shown nowhere.
        name: what may be shown: without user, password and query.
        format: FFmpeg's name of a kind of device; None where the content tells.
        options: of the container.
        is_web: whether a web server is asked, which may hold a finished file.
    """

    location: str = field(repr=False)
    name: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    is_web: bool = False


def url_address(url: str) -> Address:
    """The address behind a URL.

    Raises:
        InputError: a scheme that is not read, or no valid URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputError("the address is not a valid URL") from None  # the cause would quote it
    if parts.scheme not in _PROTOCOLS:
        raise InputError(f"{parts.scheme} addresses are not read: use {', '.join(_PROTOCOLS)}, a file or a device")
    if "@" in url and "@" not in parts.netloc:  # a password that holds #, ? or / would be taken for host and port
        raise InputError(
            "the address is not clear: write #, ? and / in a password as %23, %3F and %2F, and any @ as %40"
        )
    shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    if _HARMLESS_PATH.fullmatch(parts.path):  # some cameras take the password there, as "user=..&password=.."
        shown += parts.path
    options = {"protocol_whitelist": _PROTOCOLS[parts.scheme], "format_whitelist": _FORMATS}
    options["analyzeduration"] = "1000000"  # a second, in place of five, to look at it
    if parts.scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # lost datagrams damage pictures
    if parts.scheme.startswith("http"):
        # FFmpeg 8.1 asks once more over a connection whose end the server did not announce, and so loses a frame.
        options["multiple_requests"] = "1"
    if parts.scheme == "udp":
        options["overrun_nonfatal"] = "1"
    location = parts.scheme + url[len(parts.scheme) :]  # in lower case: FFmpeg knows no "RTSP"
    return Address(
        location,
        "".join(letter if letter.isprintable() else "?" for letter in shown),
        options=options,
        is_web=parts.scheme.startswith("http"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How a capture device is to deliver its pictures; None leaves it to the device.

    Attributes:
        size_wh: width and height in pixels.
        rate_hz: pictures per second.
        pixel_format: FFmpeg's name of the format, such as mjpeg or yuyv422 (see `streamer devices`).
    """

    size_wh: tuple[int, int] | None = None
    rate_hz: float | None = None
    pixel_format: str | None = None


def device_address(path: str, name: str, capture: Capture | None = None) -> Address:
    """The address of a video capture device of Linux, such as /dev/video0."""
    chosen = capture or Capture()
    options = {
        "video_size": chosen.size_wh and f"{chosen.size_wh[0]}x{chosen.size_wh[1]}",
        "framerate": chosen.rate_hz and f"{chosen.rate_hz:g}",
        "input_format": chosen.pixel_format,
    }
    return Address(path, name, format="v4l2", options={key: value for key, value in options.items() if value})
