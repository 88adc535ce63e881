"""How much of a heat map lies inside the nodule."""

from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from streamer.data.samples import Sample
from streamer.evaluation.heat_maps import MAX_IMAGES, heat, heat_results, spread
from tests.evaluation.pictures import GROUND, bright_detector, picture
from tests.fakes import quadrant_heat_maps

BOX = (32.0, 16.0, 64.0, 48.0)
"""Its window, half its side all round, is 64 pixels wide and fits into the picture. The classifier looks at the upper
left quarter of it, a quarter of which is nodule."""


def test_an_even_map_has_its_chance_level() -> None:
    (nodule,) = heat(picture((BOX,), level=GROUND), quadrant_heat_maps(), None, "val")
    assert nodule.area == 0.25
    assert nodule.inside == pytest.approx(0.25, abs=0.05)


def test_a_map_that_follows_a_bright_nodule_lies_inside() -> None:
    (nodule,) = heat(picture((BOX,)), quadrant_heat_maps(), None, "val")
    assert nodule.inside > 0.4
    assert nodule.hit == 1


def test_the_crop_is_that_of_the_detector_where_it_found_the_nodule() -> None:
    larger = (30.0, 14.0, 66.0, 50.0)
    mask = np.zeros((64, 96), np.uint8)
    mask[14:50, 30:66] = 255
    shown = replace(picture((BOX,)), boxes_xyxy=(larger,), mask=mask)  # bright in `BOX` only, where the detector points
    (true_box,) = heat(shown, quadrant_heat_maps(), None, "val")
    (detected,) = heat(shown, quadrant_heat_maps(), bright_detector(), "val")
    assert true_box.area == pytest.approx(36**2 / 72**2, abs=0.01)
    assert detected.area == pytest.approx(36**2 / 64**2, abs=0.01)


def test_an_empty_map_counts_nowhere_but_in_the_area() -> None:
    empty = heat(picture((BOX,), group="a"), quadrant_heat_maps(malignant_sign=-1), None, "val")
    full = heat(picture((BOX,), group="b"), quadrant_heat_maps(), None, "val")
    assert isnan(empty[0].inside)
    counts = {result.name: result.figure.count for result in heat_results([*empty, *full])}
    assert counts["heat map's mass inside the nodule"] == 1
    assert counts["share of the crop that is nodule (that mass by chance)"] == 2


def test_few_images_of_each_source_are_explained() -> None:
    def sample(number: int, source: str) -> Sample:
        return Sample(image=Path(f"{number}.png"), source=source, group="a", split="val")

    many = [sample(number, "many") for number in range(2 * MAX_IMAGES)]
    kept = spread([*many, sample(0, "few")])
    assert len(kept) == MAX_IMAGES + 1
    assert kept[1].image.name == "2.png"
