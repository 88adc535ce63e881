"""Files that are cut, lie about themselves or are something else: one line each, and what can be read is read."""

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, RTPlanStorage

from streamer.errors import InputError
from streamer.sources.dicom import DicomFile
from tests.dicom_files import PREFIX, cine_dataset, frame_images, jpeg, real_file, write_dicom

_FRAME_BYTES = 48 * 64 * 3
_SECRETS = ("SECRET", "19700101")


def _raw(frames: int = 4) -> bytes:
    return np.stack(frame_images(frames)).tobytes()


def _read(path: Path) -> tuple[list[int], bool, tuple[str, ...]]:
    with DicomFile(path, name="cine") as source:
        indices = [frame.index for frame in source.frames()]
        return indices, source.complete, source.warnings


def _jpeg_cine() -> tuple[Dataset, list[bytes]]:
    data = cine_dataset()
    data.PhotometricInterpretation = "YBR_FULL_422"
    return data, [jpeg(image) for image in frame_images()]


def test_a_native_file_that_is_cut_gives_its_whole_frames(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "cine", cine_dataset(), _raw())
    path.write_bytes(path.read_bytes()[: -_FRAME_BYTES - 5])
    assert _read(path) == ([0, 1], False, ("the file is cut: 2 of 4 frames are there",))


def test_an_encapsulated_file_that_is_cut_gives_its_whole_frames(tmp_path: Path) -> None:
    data, frames = _jpeg_cine()
    path = write_dicom(tmp_path / "cine", data, frames, syntax=PREFIX + "4.50")
    path.write_bytes(path.read_bytes()[: -len(frames[-1])])
    assert _read(path) == ([0, 1, 2], False, ("the file is cut: 3 of 4 frames are there",))


@pytest.mark.parametrize(("stated", "encapsulated"), [(2, True), (9, True), (2, False), (9, False)])
def test_a_number_of_frames_that_is_wrong_either_way(tmp_path: Path, stated: int, encapsulated: bool) -> None:
    data, frames = _jpeg_cine()
    payload, syntax = (frames, PREFIX + "4.50") if encapsulated else (_raw(), PREFIX + "1")
    data.PhotometricInterpretation = "YBR_FULL_422" if encapsulated else "RGB"
    data.NumberOfFrames = stated
    path = write_dicom(tmp_path / "cine", data, payload, syntax=syntax)
    warning = f"the header states {stated} frames, the file holds 4"
    assert _read(path) == ([0, 1, 2, 3], False, (warning,))


def test_a_damaged_frame_is_left_out_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    data, frames = _jpeg_cine()
    frames[1] = frames[1][:20] + b"\0" * (len(frames[1]) - 20)
    path = write_dicom(tmp_path / "cine", data, frames, syntax=PREFIX + "4.50")
    assert _read(path) == ([0, 2, 3], False, ("1 of 4 frames are damaged and left out",))


def _with_items(path: Path, items: Sequence[bytes]) -> Path:
    """Replace the items of encapsulated pixel data; the first is the offset table."""
    content = path.read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00OB") + 12
    framed = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
    path.write_bytes(content[:start] + framed + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    return path


@pytest.mark.parametrize("in_each", [2, 4])
def test_several_frames_in_one_fragment_are_told_apart(tmp_path: Path, in_each: int) -> None:
    data, frames = _jpeg_cine()
    path = write_dicom(tmp_path / "cine", data, frames, syntax=PREFIX + "4.50")
    joined = [b"".join(frames[start : start + in_each]) for start in range(0, 4, in_each)]
    assert _read(_with_items(path, [b"", *joined])) == ([0, 1, 2, 3], True, ())


def test_fragments_of_odd_length_and_frames_of_several_without_a_table(tmp_path: Path) -> None:
    data, frames = _jpeg_cine()
    path = write_dicom(tmp_path / "cine", data, frames, syntax=PREFIX + "4.50")
    pieces = [frame[start : start + 301] for frame in frames for start in range(0, len(frame), 301)]
    assert len(pieces) > 4
    assert _read(_with_items(path, [b"", *pieces])) == ([0, 1, 2, 3], True, ())


@pytest.mark.parametrize("items", [True, False])
def test_encapsulated_data_of_stated_length_are_read(tmp_path: Path, items: bool) -> None:
    data, frames = _jpeg_cine()
    frames = frames if items else frames[:1]
    data.NumberOfFrames = len(frames)
    path = write_dicom(tmp_path / "cine", data, frames, syntax=PREFIX + "4.50")
    content = path.read_bytes()
    head = content.index(b"\xe0\x7f\x10\x00OB") + 8
    payload = content[head + 4 : -8] if items else frames[0] + b"\0" * (len(frames[0]) % 2)
    path.write_bytes(content[:head] + struct.pack("<L", len(payload)) + payload)
    assert _read(path) == (list(range(len(frames))), True, ())
    if items:
        path.write_bytes(path.read_bytes()[:-100])
        assert _read(path) == ([0, 1, 2], False, ("the file is cut: 3 of 4 frames are there",))


def test_a_data_set_without_preamble_is_read(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "cine", cine_dataset(), _raw()).read_bytes()
    bare = tmp_path / "bare"
    bare.write_bytes(whole[132:])
    assert _read(bare)[:2] == ([0, 1, 2, 3], True)
    bare.write_bytes(whole[144 + int.from_bytes(whole[140:144], "little") :])
    assert _read(bare)[:2] == ([0, 1, 2, 3], True)


def _class_of(uid: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        data = cine_dataset()
        data.SOPClassUID, data.Modality = uid, "OT"
        return write_dicom(folder / "file", data, _raw())

    return make


def _without_pixels(folder: Path) -> Path:
    whole = write_dicom(folder / "file", cine_dataset(), _raw())
    whole.write_bytes(whole.read_bytes()[: -4 * _FRAME_BYTES - 12])
    return whole


def _garbage(folder: Path) -> Path:
    data, _ = _jpeg_cine()
    noise = np.random.default_rng(0).integers(0, 256, (4, 4000), np.uint8)
    return write_dicom(folder / "file", data, [one.tobytes() for one in noise], syntax=PREFIX + "4.50")


def _garbage_for_items(folder: Path) -> Path:
    data, frames = _jpeg_cine()
    path = write_dicom(folder / "file", data, frames, syntax=PREFIX + "4.50")
    content = bytearray(path.read_bytes())
    start = content.index(b"\xe0\x7f\x10\x00OB") + 12
    content[start:] = b"\x5a" * (len(content) - start)
    path.write_bytes(content)
    return path


def _private_syntax(folder: Path) -> Path:
    data, frames = _jpeg_cine()
    return write_dicom(folder / "file", data, frames, syntax="1.2.840.113619.5.2")


def _encrypted(folder: Path) -> Path:
    path = folder / "file"
    path.write_bytes(bytes.fromhex("3082040006092a864886f70d010703") + bytes(4000))
    return path


def _not_a_video(folder: Path) -> Path:
    data, _ = _jpeg_cine()
    return write_dicom(folder / "file", data, [bytes(4000)], syntax=PREFIX + "4.102")


def _cut_header(folder: Path) -> Path:
    whole = write_dicom(folder / "file", cine_dataset(), _raw())
    whole.write_bytes(whole.read_bytes()[:200])
    return whole


def _huge(folder: Path) -> Path:
    data = cine_dataset(rows=65_535, columns=65_535)
    return write_dicom(folder / "file", data, _raw())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_class_of(RTPlanStorage), "RT Plan"),
        (_class_of(CTImageStorage), "CT Image"),
        (_class_of("1.3.12.2.1107.5.99.3.10"), "private or unknown kind"),
        (_without_pixels, "no pixel data"),
        (_garbage, "no frame that can be decoded"),
        (_garbage_for_items, "no pixel data that can be found"),
        (_private_syntax, "private transfer syntax"),
        (_encrypted, "encrypted"),
        (_not_a_video, "video that cannot be read"),
        (_cut_header, "DICOM"),
        (_huge, "megapixels"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line_without_header_text(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        DicomFile(path, name="cine")
    message = str(caught.value)
    assert words in message
    assert message.startswith("cine ")
    assert "\n" not in message
    assert not any(secret in message for secret in _SECRETS)


def test_any_cut_of_a_real_file_is_an_answer_and_no_crash(tmp_path: Path) -> None:
    whole = real_file("examples_ybr_color.dcm").read_bytes()
    path = tmp_path / "cut"
    for length in [*range(0, 4000, 97), *range(4000, len(whole), 20_011)]:
        path.write_bytes(whole[:length])
        try:
            indices, complete, _ = _read(path)
        except InputError:
            continue
        assert not complete
        assert indices == list(range(len(indices)))


def test_any_flipped_byte_of_a_header_is_an_answer_and_no_crash(tmp_path: Path) -> None:
    whole = bytearray(real_file("examples_palette.dcm").read_bytes())
    path = tmp_path / "flipped"
    random = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for position in random.integers(132, 4000, 3):
            content[position] = random.integers(0, 256)
        path.write_bytes(content)
        with suppress(InputError):
            _read(path)
