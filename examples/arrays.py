"""Frames that are in memory: any iterable of uint8 arrays is a source. With the pixel spacing, sizes are in mm.

python examples/arrays.py
"""

import numpy as np

import streamer
from streamer.testing import FakeAnalyser


def main() -> None:
    frames = (np.full((48, 64), 60, np.uint8) for _ in range(10))
    analyser = FakeAnalyser()  # leave it out for the real networks
    for result in streamer.analyse(frames, analyser=analyser, pixel_spacing_mm=(0.1, 0.1)):
        for nodule in result.nodules:
            size = nodule.size_mm
            print(result.frame.index, nodule.track_id, "" if size is None else f"{size.long_axis_mm:.1f} mm")


if __name__ == "__main__":
    main()
