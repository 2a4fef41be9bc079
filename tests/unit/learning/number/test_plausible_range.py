"""The plausible range, and that nothing is published outside it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.number import plausible_range
from online_lstm.learning.number.number_ensemble import NumberEnsemble
from online_lstm.learning.number.plausible_range import PlausibleRange
from online_lstm.learning.state.packed import PackedArrays

RANDOM = np.random.default_rng(5)
STREAMS = {
    "counts": RANDOM.poisson(2, 600).astype(float),
    "rare spikes": np.where(RANDOM.random(600) < 0.02, RANDOM.gamma(2, 100, 600), RANDOM.gamma(2, 1, 600)),
    "a share that is mostly 1": np.minimum(1, RANDOM.gamma(8, 0.2, 600)),
    "losses": -RANDOM.gamma(1, 5, 600),
    "a plateau": np.where(np.arange(600) // 50 % 4 == 3, 3000.0, 104 + RANDOM.integers(0, 9, 600)),
}


def observe(*parts: list[float], margin: float = 0.5) -> PlausibleRange:
    rows = PackedArrays(plausible_range.fields())
    row = rows.view(rows.add())
    observed = [plausible_range.observe(row, np.array(values), margin=margin) for values in parts]
    return PlausibleRange(*map(np.concatenate, zip(*observed, strict=True)))


def test_range_extends_that_of_the_values_by_the_margin() -> None:
    """The sign and whole numbers last as long as all values so far have them; missing values change nothing."""
    nan = np.nan
    for parts in (([nan, 3.0, 9.0, nan, 8.5, -1.5],), ([nan], [3.0, 9.0], [nan, 8.5], [-1.5])):
        plausible = observe(*parts)
        np.testing.assert_array_equal([-np.inf, 3, 0, 0, 0, -6.75], plausible.low)
        np.testing.assert_array_equal([np.inf, 3, 12, 12, 12, 14.25], plausible.high)
        np.testing.assert_array_equal([False, True, True, True, False, False], plausible.whole)


def test_negative_values_stay_so() -> None:
    """The range of values that were never positive ends at 0."""
    plausible = observe([-4.0, -0.5])
    np.testing.assert_array_equal([-4, -5.75], plausible.low)
    np.testing.assert_array_equal([-4, 0], plausible.high)


def test_whole_numbers_end_within_the_margin() -> None:
    """Rounding does not leave the range."""
    plausible = observe([-1.0, 6.0], margin=0.1)
    np.testing.assert_array_equal([-1, 6], [plausible.low[1], plausible.high[1]])
    np.testing.assert_array_equal([-1, 6], plausible.bound(np.array([2.4, 6.6])))
    np.testing.assert_array_equal([-1, 3], plausible.bound(np.array([2.6, 2.6])))


@pytest.mark.parametrize("margin", [0, 0.1])
@pytest.mark.parametrize("horizons", [(1,), (1, 6)])
def test_nothing_is_published_outside_the_range(margin: float, horizons: tuple[int, ...]) -> None:
    """Predictions and bounds of each component are within the range of its values so far, and whole where these are."""
    values = np.column_stack(list(STREAMS.values()))
    values[::7, 1] = np.nan
    ensemble = NumberEnsemble(
        components=len(STREAMS),
        horizons=horizons,
        lookback=256,
        experts=("linear", "neighbours"),
        range_margin=margin,
    )
    published = run(ensemble, row_of(ensemble), values)
    low, high = np.fmin.accumulate(values), np.fmax.accumulate(values)
    beyond = margin * (high - low)
    signs = np.where(low >= 0, 0, -np.inf), np.where(high <= 0, 0, np.inf)
    least, most = (np.maximum(low - beyond, signs[0]), np.minimum(high + beyond, signs[1]))
    first = 1  # the first value of the second stream is missing
    for number in np.moveaxis(published, -1, 0):
        known = ~np.isnan(number[first:])
        assert known[100:].all()
        assert (number[first:] >= least[first:, None])[known].all()
        assert (number[first:] <= most[first:, None])[known].all()
    whole = published[:, :, [0, 4]]
    np.testing.assert_array_equal(np.rint(whole), whole)


def test_a_frozen_stream_keeps_its_range_up_to_date() -> None:
    """Without learning, a value beyond all earlier ones may be predicted to come again."""
    settings: dict[str, Any] = {"horizons": (1,), "lookback": 256, "experts": ("linear", "neighbours")}
    learning, frozen = NumberEnsemble(**settings), NumberEnsemble(**settings, learns=False)
    row = row_of(learning)
    run(learning, row, np.zeros((30, 1)))
    assert run(frozen, row, np.full((30, 1), 50.0))[-1, 0, 0, 0] > 20


def row_of(ensemble: NumberEnsemble) -> dict[str, NDArray[Any]]:
    rows = PackedArrays(ensemble.fields())
    return rows.view(rows.add())


def run(ensemble: NumberEnsemble, row: dict[str, NDArray[Any]], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return predictions, lower and upper bounds after each event, (K, H, D, 3)."""
    observed = ensemble.observe(row, values, np.full(len(values), -1))
    published, _ = ensemble.stack(row, observed)
    bounds, _ = ensemble.bound(row, observed, published)
    return np.concatenate([published[..., None], bounds], axis=-1)
