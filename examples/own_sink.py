"""An output of your own: raise a flag as soon as a suspicious nodule qualifies.

python examples/own_sink.py CLIP OUTPUT
"""

import sys
from pathlib import Path

import streamer
from streamer.testing import FakeAnalyser, fake_finding


class Alarm(streamer.BaseSink):
    """Prints the first frame in which a qualifying nodule reaches a probability."""

    def __init__(self, threshold: float) -> None:
        self.threshold, self.raised = threshold, False

    def write(self, result: streamer.FrameResult) -> None:
        if not self.raised and any(n.qualifies and n.malignancy >= self.threshold for n in result.nodules):
            self.raised = True
            print(f"suspicious from {result.frame.time_s:.2f} s on")


def main(clip: str, output: str) -> None:
    analyser = FakeAnalyser(lambda _: (fake_finding(malignancy=0.8),))  # streamer.Engine() for the real networks
    streamer.run_study([clip], Path(output), analyser=analyser, sinks=[Alarm(0.5)])


if __name__ == "__main__":
    main(*sys.argv[1:])
