"""The scale of samples: found at once, moved slowly, and not by outliers."""

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.state import scaler
from online_lstm.learning.state.packed import ArrayViews, PackedArrays

RANDOM = np.random.default_rng(11)


def row_of(features: int = 1) -> ArrayViews:
    rows = PackedArrays(scaler.fields(features))
    return rows.view(rows.add())


def run(row: ArrayViews, samples: NDArray[np.float64], calls: int = 64) -> NDArray[np.float32]:
    """Scale and learn samples, (K, features), in calls of at most so many."""
    said = []
    while len(samples):
        here = samples[: min(calls, scaler.room(row))]
        said.append(scaler.scaled(row, here))
        scaler.observe(row, here)
        samples = samples[len(here) :]
    return np.concatenate(said)


def test_deviations_are_those_from_the_mean() -> None:
    """Units do not matter: after some hundred samples all have mean 0 and standard deviation 1."""
    samples = RANDOM.normal(size=(3000, 3)) * [1e-9, 1, 1e6] + [5, 0, -3e7]
    said = run(row_of(3), samples)[500:]
    np.testing.assert_allclose(said.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(said.std(axis=0), 1, atol=0.06)
    assert np.float32 == said.dtype


@pytest.mark.parametrize("calls", [1, 7])
def test_calls_of_any_length_give_the_same_bits(calls: int) -> None:
    """The scale changes at numbers of samples, whatever calls they come in."""
    samples = RANDOM.normal(size=(400, 2))
    samples[RANDOM.random((400, 2)) < 0.2] = np.nan
    one, other = row_of(2), row_of(2)
    assert run(one, samples, 64).tobytes() == run(other, samples, calls).tobytes()
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_a_sample_is_scaled_by_those_before_it() -> None:
    """The first one is at the mean, whatever it is; what comes later changes nothing before."""
    samples = RANDOM.normal(size=(100, 1))
    said = run(row_of(), samples)
    assert 0 == said[0]
    other = run(row_of(), np.concatenate([samples[:70], 50 + samples[70:]]))
    assert said[:70].tobytes() == other[:70].tobytes()
    assert (said[70:] < other[70:]).all()


@pytest.mark.parametrize("place", [0, 3, 40, 500])
def test_outliers_move_little(place: int) -> None:
    """One in a hundred of a billion, from wherever on: the others keep more than half of their deviations."""
    samples = RANDOM.normal(size=(2000, 1))
    clean = run(row_of(), samples)
    samples[place::100] = 1e9
    said = run(row_of(), samples)
    rest = np.arange(2000) % 100 != place % 100
    assert np.abs(said).max() <= scaler.MAX_DEVIATIONS
    assert said[200:][rest[200:]].std() > 0.5 * clean[200:][rest[200:]].std()


def test_what_is_missing_is_at_the_mean() -> None:
    """It is no zero: neither does it move the scale, nor is it far from it."""
    samples = 1000 + RANDOM.normal(size=(1000, 1))
    samples[::2] = np.nan
    row = row_of()
    said = run(row, samples)
    assert not said[::2].any()
    assert row["scale_means"][0] == pytest.approx(1000, abs=0.2)
    assert row["scale_counts"][0] == 480  # of the 960 samples after which it was looked at last


def test_a_number_that_comes_late_begins_then() -> None:
    """While it is missing there is no scale; then it has one soon."""
    samples = 50 + 7 * RANDOM.normal(size=(600, 1))
    samples[:300] = np.nan
    said = run(row_of(), samples)
    assert not said[:300].any()
    assert 0.7 < said[400:].std() < 1.4


def test_a_constant_that_moves_is_noticed() -> None:
    """While all are the same they are at the mean; the first other one is one deviation away, and sets the scale."""
    row = row_of()
    assert not run(row, np.full((300, 1), 1e9)).any()
    said = run(row, np.array([[1e9 + 1], [1e9 - 1]] * 300))
    np.testing.assert_array_equal(said[:2], [[1], [-1]])
    assert np.isfinite(said).all()
    assert np.abs(said[-50:]).mean() > 0.5


def test_a_drift_is_followed() -> None:
    """Old samples fade: after many of another level and spread these are the scale."""
    row = row_of()
    run(row, RANDOM.normal(size=(2000, 1)))
    said = run(row, 30 + 0.1 * RANDOM.normal(size=(200_000, 1)))[-1000:]
    assert abs(said.mean()) < 1
    assert row["scale_means"][0] == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize("value", [1.7e308, 5e-324, 0.0])
def test_numbers_beyond_all_measure_leave_the_scale_finite(value: float) -> None:
    """Also where their squares, or their differences, are no numbers any more."""
    row = row_of()
    said = run(row, np.array([[value], [-value]] * 500))
    assert np.isfinite(said).all()
    assert all(np.isfinite(row[name]).all() for name in row if name != "scale_block")
