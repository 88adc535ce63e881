"""Results as `supervision.Detections`: use its annotators, zones, slicers and sinks.

python examples/supervision_zone.py CLIP
"""

import sys

import supervision as sv

import streamer
from streamer.testing import FakeAnalyser


def main(clip: str) -> None:
    annotator = sv.BoxAnnotator()
    for result in streamer.analyse(clip, analyser=FakeAnalyser()):  # without `analyser` for the real networks
        detections = result.to_supervision(masks=True)
        picture = annotator.annotate(result.frame.image.copy(), detections)
        if result.frame.index == 0:
            print(picture.shape, len(detections), detections.tracker_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
