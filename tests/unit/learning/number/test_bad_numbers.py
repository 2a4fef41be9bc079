"""Bad input of numbers: the last value's error is never exceeded by more than a margin."""

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.number.number_ensemble import NumberEnsemble
from online_lstm.learning.state.packed import PackedArrays

COUNT = 2000
STEPS = np.arange(COUNT)


def noise(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=COUNT)


BAD = {
    "constant": np.full(COUNT, 0.1),
    "zeros, then one": (STEPS >= 1000).astype(float),
    "one value in a million": 10 + np.where(STEPS == 1200, 1e9, 0.0),
    "outliers": noise().cumsum() + np.where(np.random.default_rng(1).random(COUNT) < 0.01, 1e300, 0),
    "alternating units": (20 + noise()) * np.where(STEPS % 2, 1.0, 1000.0),
    "units of parts": (20 + noise()) * np.where(STEPS // 100 % 2, 1.0, 1000.0),
    "unit changes": (20 + noise().cumsum()) * np.where(STEPS < 1000, 1e6, 1.0),
    "missing runs": np.where(STEPS // 500 % 2, np.nan, noise().cumsum()),
    "mostly missing": np.where(noise(5) < 1.5, np.nan, noise().cumsum()),
    "steps": noise() + 1e6 * (STEPS // 300 % 2),
    "stairs": noise() + 1e6 * (STEPS // 300),
    "denormal": 5e-324 * np.random.default_rng(2).integers(-9, 9, COUNT),
    "from denormal to largest": 10.0 ** np.linspace(-310, 300, COUNT),
    "both largest": np.random.default_rng(3).choice([-1.7e308, 1.7e308], COUNT),
    "rare spikes": (np.random.default_rng(4).random(COUNT) < 0.02) * 1e9,
    "walk of whole numbers": np.rint(0.3 * noise().cumsum()),
}
MARGIN = 0.05


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_predicted_as_well_as_by_the_last_value(name: str) -> None:
    """In the sum of the absolute errors, with 5 % and ten mean errors more; nothing is non-finite."""
    values = BAD[name]
    ensemble = NumberEnsemble(horizons=(1,), lookback=512, experts=("linear", "neighbours"))
    rows = PackedArrays(ensemble.fields())
    row = rows.view(rows.add())
    observed = ensemble.observe(row, values[:, None], np.full(COUNT, -1))
    published, weights = ensemble.stack(row, observed)
    bounds, _ = ensemble.bound(row, observed, published)
    last = observed.baselines[:, 0, 0, 0]
    known = ~np.isnan(observed.values[1:, 0]) & ~np.isnan(last[:-1])
    scale = np.nanmax(np.abs(observed.values)) or 1.0  # so that sums of errors are finite
    of_last, of_published = (
        np.abs(observed.values[1:, 0] / scale - predicted[:-1] / scale)[known]
        for predicted in (last, published[:, 0, 0])
    )
    assert of_published.sum() <= (1 + MARGIN) * of_last.sum() + 10 * of_last.mean()
    first = int(np.argmin(np.isnan(values)))
    assert np.isfinite(published[first:]).all()
    assert np.isfinite(weights[first:]).all()
    assert not np.isinf(bounds).any()
