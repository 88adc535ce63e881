"""A kind of input of your own: a cine loop in an `.npz` file, with its frame rate and the size of a pixel.

python examples/own_source.py CLIP.npz
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

import streamer
from streamer.testing import FakeAnalyser


class NpzClip:
    """A source: grey frames of shape (n, height, width), `fps`, and `spacing_mm` (x and y)."""

    live = False
    warnings: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self._grey, self._fps = file["frames"], float(file["fps"])
            x_mm, y_mm = file["spacing_mm"].tolist()
        count, height, width = self._grey.shape
        self.info = streamer.ClipInfo(
            name=path.name, width=width, height=height, fps=self._fps, pixel_spacing_mm=(x_mm, y_mm)
        )
        self.expected_frames: int | None = count
        self.complete, self.duration_s = False, 0.0

    def frames(self) -> Iterator[streamer.Frame]:
        for index, grey in enumerate(self._grey):
            rgb = np.repeat(grey[..., None], 3, axis=2)
            self.duration_s = (index + 1) / self._fps
            yield streamer.Frame(image=rgb, index=index, time_s=index / self._fps, video=self.info.name)
        self.complete = True

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main(path: str) -> None:
    analyser = FakeAnalyser()  # leave it out for the real networks
    with NpzClip(Path(path)) as clip:
        results = list(streamer.analyse(clip, analyser=analyser))
    size = results[-1].nodules[0].size_mm
    assert size is not None
    print(f"{len(results)} frames; the nodule is {size.long_axis_mm:.1f} mm long")


if __name__ == "__main__":
    main(*sys.argv[1:])
