"""Reliability of probabilities."""

import pytest
from online_lstm.backtest.report.calibration import BINS, ReliabilityBins


def test_calibration_error_is_the_mean_distance() -> None:
    """Each bin counts by how many predictions it has: 8 with .05 between, 2 with .4."""
    reliability = ReliabilityBins()
    for place in range(8):
        reliability.add(0.7, hit=place < 6)
    for _ in range(2):
        reliability.add(0.4, hit=False)
    figures = reliability.to_json()
    assert figures["expected_calibration_error"] == pytest.approx(0.8 * 0.05 + 0.2 * 0.4)
    assert [0, 0, 0, 0, 2, 0, 0, 8, 0, 0] == [one["count"] for one in figures["bins"]]
    assert (0.75, pytest.approx(0.7)) == (figures["bins"][7]["hit_rate"], figures["bins"][7]["probability"])
    assert figures["bins"][0]["hit_rate"] is None


def test_the_bins_hold_everything_from_0_to_1() -> None:
    """The upper end belongs to the last bin."""
    reliability = ReliabilityBins()
    for probability in (0.0, 1.0):
        reliability.add(probability, hit=bool(probability))
    figures = reliability.to_json()
    assert (1, 1) == (figures["bins"][0]["count"], figures["bins"][BINS - 1]["count"])
    assert 0.0 == figures["expected_calibration_error"]


def test_without_predictions_there_is_no_error() -> None:
    """None is not zero."""
    assert ReliabilityBins().to_json()["expected_calibration_error"] is None
