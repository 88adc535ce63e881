"""Writes HEIF files that no library here writes: a picture in tiles, and image sequences (ISO/IEC 23008-12)."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pillow_heif
from PIL import Image as PillowImage

from streamer.types import Image


def write_grid(path: Path, image: Image, *, tile_px: int, after: bytes = b"") -> Path:
    """Write `image` as phones do: tiles coded one by one, and an item that says how they lie (6.6.2.3).

    `after` is a whole file that the picture follows, as the cover of an image sequence does.
    """
    height, width = image.shape[:2]
    columns, rows = -(-width // tile_px), -(-height // tile_px)
    padded = PillowImage.fromarray(image).crop((0, 0, columns * tile_px, rows * tile_px))
    tiles = [
        _coded(_heic(padded.crop((x, y, x + tile_px, y + tile_px))))
        for y in range(0, rows * tile_px, tile_px)
        for x in range(0, columns * tile_px, tile_px)
    ]
    count = len(tiles)
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    properties = [tiles[0][0], _full(b"ispe", struct.pack(">II", tile_px, tile_px))]
    properties.append(_full(b"ispe", struct.pack(">II", width, height)))
    entries = [(number, (1, 2)) for number in range(1, count + 1)] + [(count + 1, (3,))]
    associations = b"".join(struct.pack(">HB", item, len(of)) + bytes(0x80 | one for one in of) for item, of in entries)
    kinds = [b"hvc1"] * count + [b"grid"]
    infos = b"".join(
        _full(b"infe", struct.pack(">HH", number, 0) + kind + b"\0", version=2, flags=kind != b"grid")  # tiles: hidden
        for number, kind in enumerate(kinds, start=1)
    )
    links = struct.pack(">HH", count + 1, count) + b"".join(struct.pack(">H", one) for one in range(1, count + 1))

    def meta(data_start: int) -> bytes:
        offset, places = data_start, b""
        for number, (_, data) in enumerate(tiles, start=1):
            places += struct.pack(">HHHHII", number, 0, 0, 1, offset, len(data))
            offset += len(data)
        places += struct.pack(">HHHHII", count + 1, 1, 0, 1, 0, len(grid))  # construction method 1: in `idat`
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + _full(b"pitm", struct.pack(">H", count + 1))
            + _full(b"iloc", b"\x44\x00" + struct.pack(">H", count + 1) + places, version=1)
            + _full(b"iinf", struct.pack(">H", count + 1) + infos)
            + _full(b"iref", _box(b"dimg", links))
            + _box(
                b"iprp",
                _box(b"ipco", b"".join(properties)) + _full(b"ipma", struct.pack(">I", len(entries)) + associations),
            )
            + _box(b"idat", grid),
        )

    head = after or _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + _box(b"mdat", b"".join(data for _, data in tiles)))
    return path


def _heic(picture: PillowImage.Image) -> bytes:
    target = io.BytesIO()
    pillow_heif.from_pillow(picture).save(target, quality=90)
    return target.getvalue()


def _coded(heic: bytes) -> tuple[bytes, bytes]:
    """The decoder's configuration (a whole `hvcC` box) and the data of a HEIC of one picture."""
    at = heic.index(b"hvcC") - 4
    configuration = heic[at : at + int.from_bytes(heic[at : at + 4], "big")]
    at = heic.index(b"mdat") - 4
    length = int.from_bytes(heic[at : at + 4], "big")
    return configuration, heic[at + 8 : at + length if length else len(heic)]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _full(kind: bytes, content: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, flags]) + content)
