"""Sample size: consistent with the analysis of the pilot, and with studies that were simulated."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest
from scipy import stats

from streamer.errors import DataError
from streamer.studies.mrmc import Components, analyse
from streamer.studies.planning import Pilot, assumed_pilot, half_width, plan, power
from tests.studies.van_dyke import van_dyke


def test_power_of_the_pilot_itself_follows_from_its_f_and_degrees_of_freedom() -> None:
    """With the pilot's size and difference, noncentrality and degrees of freedom are those of its own test."""
    outcome = analyse(van_dyke())
    assert outcome.components is not None
    assert outcome.test is not None
    pilot = Pilot(components=outcome.components, cases=114)
    f, df2 = outcome.test.statistic, outcome.test.df2
    expected = stats.ncf.sf(stats.f.ppf(0.95, 1, df2), 1, df2, f)
    assert power(pilot, difference=outcome.differences[0].value, readers=5, cases=114) == pytest.approx(expected)
    assert half_width(pilot, readers=5, cases=114) == pytest.approx(
        (outcome.differences[0].high - outcome.differences[0].low) / 2
    )


def test_more_readers_need_fewer_cases_and_fixed_readers_fewest() -> None:
    outcome = analyse(van_dyke())
    assert outcome.components is not None
    pilot = Pilot(components=outcome.components, cases=114)
    needed = [plan(pilot, difference=0.05, readers=readers) for readers in (6, 10)]
    fixed = plan(pilot, difference=0.05, readers=6, population="cases", malignant_share=45 / 114)
    assert needed[0] is not None
    assert needed[1] is not None
    assert fixed is not None
    assert needed[0].cases > needed[1].cases
    assert needed[0].cases > fixed.cases
    assert needed[0].power >= 0.8
    assert power(pilot, difference=0.05, readers=6, cases=needed[0].cases - 1) < 0.8
    assert fixed.malignant == -(-fixed.cases * 45 // 114)


def test_readers_who_differ_too_much_cannot_be_made_up_for_by_cases() -> None:
    pilot = assumed_pilot(area=0.85, malignant=50, benign=50, correlations=(0.5, 0.4, 0.3), interaction_sd=0.1)
    assert plan(pilot, difference=0.03, readers=3) is None


def test_assumed_variance_is_hanley_and_mcneils() -> None:
    pilot = assumed_pilot(area=0.9, malignant=45, benign=69, correlations=(0.5, 0.4, 0.3), interaction_sd=0.02)
    q1, q2 = 0.9 / 1.1, 2 * 0.81 / 1.9
    variance = (0.09 + 44 * (q1 - 0.81) + 68 * (q2 - 0.81)) / (45 * 69)
    assert pilot.components.error == pytest.approx(variance)
    assert pilot.components.correlations == pytest.approx((0.5, 0.4, 0.3))
    assert pilot.components.interaction == pytest.approx(0.0004)


def test_nonsense_is_refused() -> None:
    pilot = assumed_pilot(area=0.85, malignant=50, benign=50, correlations=(0.5, 0.4, 0.3), interaction_sd=0.01)
    with pytest.raises(DataError, match="at least two"):
        plan(pilot, difference=0.05, readers=1)
    with pytest.raises(DataError, match="difference of 0"):
        plan(pilot, difference=0.0, readers=4)
    with pytest.raises(DataError, match=r"between 0\.5 and 1"):
        assumed_pilot(area=0.4, malignant=5, benign=5, correlations=(0.5, 0.4, 0.3), interaction_sd=0.01)
    with pytest.raises(DataError, match="least of them"):
        assumed_pilot(area=0.8, malignant=5, benign=5, correlations=(0.5, 0.2, 0.3), interaction_sd=0.01)


def assumed(**changes: Any) -> Pilot:
    given: dict[str, Any] = {
        "area": 0.85, "malignant": 50, "benign": 50, "correlations": (0.5, 0.4, 0.3), "interaction_sd": 0.01,
    }  # fmt: skip
    return assumed_pilot(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"area": 1.2}, r"between 0\.5 and 1, got 1\.2"),
        ({"area": 0.5}, r"between 0\.5 and 1, got 0\.5"),
        ({"area": nan}, r"between 0\.5 and 1, got nan"),
        ({"correlations": (0.5, 0.4, -0.1)}, "from 0 to below 1"),
        ({"correlations": (0.9, 0.8, 0.1)}, r"r1 \+ r2 - r3 below 1, got 1\.6"),
        ({"interaction_sd": 0.3}, r"below 0\.35, got 0\.424"),
        ({"malignant": 1}, "two cases of each class"),
    ],
)
def test_assumptions_that_no_study_can_meet_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        assumed(**changes)


@pytest.mark.parametrize("difference", [0.15, 0.5, -0.35])
def test_a_second_area_that_is_none_is_refused(difference: float) -> None:
    with pytest.raises(DataError, match=r"in the second: it must lie between 0\.5 and 1"):
        plan(assumed(), difference=difference, readers=5)


def test_areas_inside_the_bounds_are_planned_for() -> None:
    for difference in (0.14, -0.34):
        assert plan(assumed(), difference=difference, readers=5) is not None


def test_the_fewest_cases_hold_two_of_each_class() -> None:
    found = plan(assumed(area=0.6), difference=0.39, readers=50, malignant_share=0.05)
    assert found is not None
    assert (found.malignant, found.cases) == (2, 21)  # 20 cases would hold 1


def test_a_pilot_without_variance_by_the_cases_plans_nothing() -> None:
    none = Components(error=0.0, cov1=0.0, cov2=0.0, cov3=0.0, reader=0.0, interaction=0.0)
    with pytest.raises(DataError, match="do not vary with the cases"):
        Pilot(components=none, cases=40)
    contrary = Pilot(
        components=Components(error=0.01, cov1=0.004, cov2=0.0, cov3=0.004, reader=0.0, interaction=0.0), cases=40
    )
    with pytest.raises(DataError, match="no variance by the cases"):
        power(contrary, difference=0.05, readers=6, cases=40, population="cases")
