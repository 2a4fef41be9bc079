"""How far off predictions of numbers were."""

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.scoring import regression
from online_lstm.predictor_scores import Predictors


def losses_of(values: NDArray[np.float64], predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    return regression.losses_of(values, predictions, np.full(values.shape, np.nan))


def test_skill_error_is_of_paired_differences() -> None:
    """Of the mean difference of errors on the same values, by the mean error of the best baseline."""
    random = np.random.default_rng(5)
    values = random.normal(size=(400, 1))
    values[::7] = np.nan  # nothing is judged there
    noise = random.normal(size=(400, 1, 3)) * (0.5, 1.5, 1.0)  # published, last value, seasonal: the best baseline
    losses = losses_of(values, values[..., None] + noise)
    sums, squares = losses.sum(axis=0), regression.squared_differences(losses)
    errors = np.abs(noise[:, 0])[np.isfinite(values[:, 0])]
    differences = errors[:, 0] - errors[:, 2]
    expected = np.std(differences) / len(differences) ** 0.5 / errors[:, 2].mean()
    assert regression.skill_error(sums, squares) == pytest.approx(expected)
    predictors = Predictors(("last_value", "seasonal_naive"), ())
    stats = regression.regression_stats(sums, predictors, components=1)
    assert stats.skill == pytest.approx(-differences.mean() / errors[:, 2].mean())
    by_event = sum(regression.squared_differences(event) for event in losses)
    np.testing.assert_allclose(squares, by_event)


def test_skill_error_of_correlated_channels() -> None:
    """The mean of theirs, and no less for there being more of them."""
    random = np.random.default_rng(6)
    values, noise = random.normal(size=(100, 1)), random.normal(size=(100, 1, 3))
    one = losses_of(values, values[..., None] + noise)
    two = np.concatenate([one, one], axis=1)
    errors = [regression.skill_error(each.sum(axis=0), regression.squared_differences(each)) for each in (one, two)]
    assert errors[0] == pytest.approx(errors[1])


def test_a_skill_that_is_none_has_no_standard_error() -> None:
    """Nor has one of errors whose squares are no numbers."""
    nothing = losses_of(np.full((3, 1), np.nan), np.zeros((3, 1, 3)))
    right = losses_of(np.ones((3, 1)), np.ones((3, 1, 3)))
    huge = losses_of(np.ones((3, 1)), np.array([[[1e200, 3e200, 4e200]]] * 3))
    for losses in (nothing, right, huge):
        assert regression.skill_error(losses.sum(axis=0), regression.squared_differences(losses)) is None
