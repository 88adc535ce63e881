"""Your own detector in ten lines: anything that turns an image into boxes can be streamed, tracked and reported.

python examples/own_detector.py CLIP OUTPUT
"""

import sys
from pathlib import Path

import numpy as np

import streamer


def bright_patch(image: np.ndarray) -> list[tuple[float, ...]]:
    """The brightest pixel's surroundings as a nodule; replace this with your network."""
    y, x = np.unravel_index(int(image[..., 0].argmax()), image.shape[:2])
    return [(float(x) - 8, float(y) - 8, float(x) + 8, float(y) + 8, 0.9, 0.2)]


def main(clip: str, output: str) -> None:
    analyser = streamer.DetectorAnalyser(bright_patch, name="bright patch")
    report = streamer.run_study([clip], Path(output), analyser=analyser)
    print(report.decision, len(report.tracks))


if __name__ == "__main__":
    main(*sys.argv[1:])
