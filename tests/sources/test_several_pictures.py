"""Files that hold more than one picture: stacks, animations, bursts, tiles, thumbnails, and what lies beside stills."""

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image as PillowImage

from streamer.errors import InputError
from streamer.sources import Source, open_source
from streamer.types import Frame
from tests.sources.heif import write_grid
from tests.sources.media import FIELDS_RGB, field_colours, numbered_image, read_number, write_clip


def _numbered(number: int, scale: int = 1) -> PillowImage.Image:
    return PillowImage.fromarray(numbered_image(number, width=96 * scale, height=64 * scale))


def _read(path: Path) -> tuple[Source, list[Frame]]:
    with open_source(path) as source:
        return source, list(source.frames())


def _numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.image) for frame in frames]


def test_a_picture_in_tiles_is_read_whole(tmp_path: Path) -> None:
    image = numbered_image(77, width=320, height=200)
    source, (frame,) = _read(write_grid(tmp_path / "phone.heic", image, tile_px=128))
    assert (frame.image.shape, source.complete, source.warnings) == ((200, 320, 3), True, ())
    assert read_number(frame.image) == 77
    np.testing.assert_allclose(field_colours(frame.image), FIELDS_RGB, atol=20)


def test_a_sequence_with_a_cover_in_tiles_is_read_as_the_sequence(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"}
    clip = write_clip(
        tmp_path / "a.heic", codec="libx265", container="mp4", options=options, container_options={"brand": "hevc"}
    )
    write_grid(clip, numbered_image(99, width=320, height=200), tile_px=128, after=clip.read_bytes())
    source, frames = _read(clip)
    assert _numbers(frames) == list(range(12))
    assert source.complete


def test_a_burst_is_a_clip(tmp_path: Path) -> None:
    burst = pillow_heif.HeifFile()  # type: ignore[no-untyped-call]
    for number in range(5):
        burst.add_from_pillow(_numbered(number))
    burst.save(tmp_path / "burst.heic", quality=90)
    source, frames = _read(tmp_path / "burst.heic")
    assert _numbers(frames) == list(range(5))
    assert (source.info.fps, source.expected_frames, source.complete) == (30, 5, True)
    assert source.warnings == ("its pictures carry no times; 30 frames a second assumed",)


def test_the_primary_picture_counts_not_the_largest(tmp_path: Path) -> None:
    both = pillow_heif.HeifFile()  # type: ignore[no-untyped-call]
    both.add_from_pillow(_numbered(9, scale=4))
    both.add_from_pillow(_numbered(3))
    both.save(tmp_path / "a.heic", quality=90, primary_index=1)
    source, (frame,) = _read(tmp_path / "a.heic")
    assert (frame.image.shape, read_number(frame.image)) == ((64, 96, 3), 3)
    assert source.warnings == ("a.heic holds 2 pictures of several sizes; only the primary one is read",)


@pytest.mark.parametrize("kind", ["avif", "webp", "png"])
def test_animations_keep_their_times(tmp_path: Path, kind: str) -> None:
    first, *rest = [_numbered(number) for number in range(6)]
    path = tmp_path / f"a.{kind}"
    first.save(path, save_all=True, append_images=rest, duration=[40, 40, 40, 100, 100, 100])
    source, frames = _read(path)
    assert _numbers(frames) == list(range(6))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.22, 0.32])
    assert source.duration_s == pytest.approx(0.42)
    assert (source.info.fps, source.expected_frames, source.complete, source.warnings) == (25, 6, True, ())


def test_the_picture_for_those_who_know_no_animation_is_no_frame(tmp_path: Path) -> None:
    cover, *frames = [_numbered(number) for number in (99, 1, 2)]
    cover.save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True, duration=40)
    assert _numbers(_read(tmp_path / "a.png")[1]) == [1, 2]


def test_a_stack_is_read_whole_and_its_thumbnails_are_not(tmp_path: Path) -> None:
    pages = [_numbered(1), _numbered(2), _numbered(2).resize((24, 16)), _numbered(3)]
    pages[2].encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with open_source(tmp_path / "a.tif", folder_fps=10) as source:
        frames = list(source.frames())
        assert source.complete
        assert source.warnings == ("its pictures carry no times; 10 frames a second assumed",)
    assert _numbers(frames) == [1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])


def test_a_stack_beyond_four_gigabytes_is_laid_out_otherwise(tmp_path: Path) -> None:
    _numbered(1).save(tmp_path / "a.tif", save_all=True, append_images=[_numbered(2)], big_tiff=True)
    assert _numbers(_read(tmp_path / "a.tif")[1]) == [1, 2]


def test_a_page_of_another_kind_is_named_for_what_it_is(tmp_path: Path) -> None:
    floats = PillowImage.fromarray(np.zeros((64, 96), np.float32))
    _numbered(1).save(tmp_path / "a.tif", save_all=True, append_images=[floats])
    source, frames = _read(tmp_path / "a.tif")
    assert (_numbers(frames), source.complete) == ([1], False)
    assert source.warnings[-1].startswith("from picture 2 on: a.tif has floating-point pixels")


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_what_is_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    rest = [_numbered(number) for number in range(1, 6)]
    _numbered(0).save(path, save_all=True, append_images=rest, duration=40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source, frames = _read(path)
    assert _numbers(frames) == list(range(len(frames)))
    assert 2 <= len(frames) < 6
    assert not source.complete
    assert source.warnings[-1] == f"a.{kind} is damaged: from picture {len(frames) + 1} on it cannot be read"


def test_an_animation_that_cannot_be_taken_apart_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    _numbered(0).save(path, save_all=True, append_images=[_numbered(1)], duration=40)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"^a\.webp [^\n]+$"):
        open_source(path)


def test_stacks_in_a_folder_follow_one_another(tmp_path: Path) -> None:
    _numbered(1).save(tmp_path / "1.tif", save_all=True, append_images=[_numbered(2)])
    _numbered(3).save(tmp_path / "2.tif", save_all=True, append_images=[_numbered(4)])
    _, frames = _read(tmp_path)
    assert _numbers(frames) == [1, 2, 3, 4]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])


def test_hidden_files_are_no_frames(tmp_path: Path) -> None:
    _numbered(7).resize((64, 48)).save(tmp_path / ".thumbnail.png")
    for number in (1, 2):
        _numbered(number).save(tmp_path / f"frame{number}.png")
    source, frames = _read(tmp_path)
    assert _numbers(frames) == [1, 2]
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
    assert source.warnings[0] == "1 hidden picture is left out"


def test_a_folder_of_hidden_files_says_so(tmp_path: Path) -> None:
    _numbered(7).save(tmp_path / ".thumbnail.png")
    with pytest.raises(InputError, match=r"holds no stills .* \(1 hidden picture is left out\)$"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("still", "beside"),
    [
        ("frame1", "frame1_mask"),
        ("case (3)", "case (3)_mask_1"),
        ("IMG-7", "img-7.Labels"),
        ("frame_012", "mask_012"),
        ("a", "a-thumbnail"),
    ],
)
def test_sidecars_are_no_frames(tmp_path: Path, still: str, beside: str) -> None:
    _numbered(1).save(tmp_path / f"{still}.png")
    _numbered(2).save(tmp_path / f"{beside}.png")
    source, frames = _read(tmp_path)
    assert _numbers(frames) == [1]
    assert source.warnings[0] == f"left out as masks and the like of other stills: {beside}.png"


def test_a_video_among_stills_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    _numbered(1).save(tmp_path / "screenshot.png")
    write_clip(tmp_path / "sweep.mp4", codec="mpeg4", frames=3)
    (tmp_path / "sweep.json").write_text("{}")
    source, frames = _read(tmp_path)
    assert _numbers(frames) == [1]
    assert source.warnings[0] == "videos beside stills are left out; give them by themselves: sweep.mp4"


@pytest.mark.parametrize("lost", ["empty", "another kind", "gone"])
def test_a_still_that_was_not_copied_leaves_a_gap(tmp_path: Path, lost: str) -> None:
    for number in (1, 3):
        _numbered(number).save(tmp_path / f"frame{number}.png")
    missing = tmp_path / "frame2.png"
    missing.symlink_to(tmp_path / "absent") if lost == "gone" else missing.write_bytes(b"" if lost == "empty" else b"<")
    source, frames = _read(tmp_path)
    assert (_numbers(frames), source.complete) == ([1, 3], False)
    assert frames[1].time_s == pytest.approx(2 / 30)
    assert any(line.startswith("frame2.png ") for line in source.warnings)


def test_a_name_alone_makes_no_sidecar(tmp_path: Path) -> None:
    for number, name in enumerate(["mask_1", "mask_2", "roi_overlay_3"]):
        _numbered(number).save(tmp_path / f"{name}.png")
    assert _numbers(_read(tmp_path)[1]) == [0, 1, 2]
