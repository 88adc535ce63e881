"""Choose what is written: here a spreadsheet row per nodule and frame, and the report, but no video.

python examples/choose_outputs.py CLIP OUTPUT
"""

import csv
import sys
from pathlib import Path

import streamer
from streamer.testing import FakeAnalyser


def main(clip: str, output: str) -> None:
    settings = streamer.Settings(outputs=("csv", "report_json"))
    streamer.run_study([clip], Path(output), analyser=FakeAnalyser(settings=settings))  # streamer.Engine(settings)
    with (Path(output) / "nodules.csv").open(newline="") as file:
        print(
            sum(1 for _ in csv.DictReader(file)), "rows;", streamer.read_report(Path(output) / "report.json").decision
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
