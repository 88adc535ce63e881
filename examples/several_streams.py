"""Several live sources on one set of networks: each with its own order, tracker and patient.

python examples/several_streams.py CLIP [CLIP ..]
"""

import sys

import streamer
from streamer.testing import FakeAnalyser


def main(*clips: str) -> None:
    sources = [streamer.open_live(clip) for clip in clips]
    newest: dict[int, float] = {}

    def show(position: int, result: streamer.FrameResult) -> None:
        newest[position] = result.frame.time_s

    with streamer.analyse_streams(sources, FakeAnalyser(), on_result=show) as serving:  # streamer.Engine()
        serving.wait(timeout_s=60)
    print({position: round(time_s, 1) for position, time_s in sorted(newest.items())})


if __name__ == "__main__":
    main(*sys.argv[1:])
