"""The period search: the period of a series' season, and a shorter period within it.

Values are clipped to six spreads (median absolute deviations) around their median. The prewhitened series is
e_t = x_t - phi x_(t-1), clipped in the same way: without prewhitening, a random walk hides a season. With the
autocorrelations r of either series (Box and Jenkins, "Time Series Analysis", 1970), the season of period p explains the
share s of the variance:

    s = m - (1 - m) p / N        m = mean of r(p), r(2p), ... r(kp)  -  mean of all r from r(p/2) to r(kp + p/2)

The second mean is subtracted because a slow movement correlates with its past at every lag, not only at the period.
The factor p / N is the cost of estimating a profile from N / p periods. k is at most eight.

Candidates are the peaks of m with a share of at least ``MIN_SHARE`` in the series itself (a random walk has swings of
its own), or at least ``MIN_SHARE_WHITE`` in the prewhitened series; the larger of the two shares counts. The chosen
period is the shortest one whose unexplained share is at most ``CLOSE`` times the unexplained share of the best period
plus ``SLACK``, or plus ``SLACK_OF_DIVISORS`` for divisors of the best period: without noise, all multiples of a period
explain everything, and chance decides which of them explains most. A period in use stays as long as it meets this
condition.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled

MIN_SHARE, MIN_SHARE_WHITE = 0.25, 0.08
MIN_EVENTS = 24.0  # minimum of share times number of values: a share of 24 in 128 values may be chance
CLOSE, SLACK, SLACK_OF_DIVISORS = 1.1, 0.01, 0.05
MIN_PERIODS = 4  # minimum number of periods in the values
MAX_MULTIPLES = 8
MAX_SPREADS = 6.0


def find_periods(values: NDArray[np.float64], present: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the period of a series, and a shorter period of at most half its length.

    Args:
        values: The series, float64 ``(N,)``.
        present: The periods in use, int64 ``(2,)``.

    Returns:
        Both periods in steps, the longer first, int64 ``(2,)``; 1 for no period.
    """
    shares = _shares(values)
    period = _best(shares, len(shares), present[0])
    within = _best(shares, period // 2 + 1, present[1])
    return np.array([period, within], np.int64)


def _best(shares: NDArray[np.float64], end: int, present: int) -> int:
    """Choose a period below ``end``; 1 for no period."""
    shares = shares[:end]
    best = shares.max(initial=-np.inf)
    if best < 0:
        return 1
    divisors = np.argmax(shares) % np.maximum(np.arange(len(shares)), 1) == 0
    good = 1 - shares <= CLOSE * max(1 - best, 0) + np.where(divisors, SLACK_OF_DIVISORS, SLACK)
    if present < len(shares) and good[present]:
        return int(present)
    return int(np.argmax(good))


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the variance that each period explains; -inf for a period that is no candidate."""
    min_share = MIN_EVENTS / len(values)
    cut = _cut(values)
    shares = _shares_of(cut, max(MIN_SHARE, min_share))
    white = _shares_of(_cut(_whitened(cut)), max(MIN_SHARE_WHITE, min_share))
    better: NDArray[np.float64] = np.maximum(shares, white)
    return better


def _cut(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale by median and spread, and clip to ``MAX_SPREADS``."""
    away = values - np.median(values)
    spread = np.median(np.abs(away)) or np.abs(away).max()
    if spread == 0:
        return np.zeros(len(values))
    with np.errstate(over="ignore"):
        cut: NDArray[np.float64] = np.clip(away / spread, -MAX_SPREADS, MAX_SPREADS)
    return cut


@compiled
def _whitened(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the prediction of each value from its predecessor; keep the first value."""
    mean = _mean(series)
    total = 0.0
    together = 0.0
    for step in range(1, len(series)):
        total += (series[step - 1] - mean) ** 2
        together += (series[step - 1] - mean) * (series[step] - mean)
    phi = together / total if total > 0 else 0.0
    white = series.copy()
    for step in range(1, len(series)):
        white[step] -= phi * series[step - 1]
    return white


@compiled
def _mean(series: NDArray[np.float64]) -> float:
    """Return the mean, summed in the same order on every machine."""
    total = 0.0
    for number in series:
        total += number
    return total / len(series)


@compiled
def _shares_of(series: NDArray[np.float64], min_share: float) -> NDArray[np.float64]:
    count, max_lag = len(series), len(series) // 2
    series = series - _mean(series)
    sums = np.zeros(max_lag + 1)
    for step in range(count):
        for lag in range(min(max_lag + 1, count - step)):
            sums[lag] += series[step] * series[step + lag]
    r = np.zeros(max_lag + 1)
    total = np.zeros(max_lag + 2)  # cumulative sums of r
    for lag in range(max_lag + 1):
        if sums[0] > 0:
            r[lag] = sums[lag] / sums[0] * count / (count - lag)
        total[lag + 1] = total[lag] + r[lag]
    means = np.full(count // MIN_PERIODS + 2, -np.inf)
    for period in range(2, len(means)):
        multiples = min(max_lag // period, MAX_MULTIPLES)
        mean = 0.0
        for multiple in range(1, multiples + 1):
            mean += r[multiple * period] / multiples
        first, end = (period + 1) // 2, min(max_lag, (2 * multiples + 1) * period // 2) + 1
        means[period] = mean - (total[end] - total[first]) / (end - first)
    shares = np.full(len(means) - 1, -np.inf)
    for period in range(2, len(shares)):
        if means[period - 1] < means[period] >= means[period + 1]:
            share = means[period] - (1 - means[period]) * period / count
            shares[period] = share if share >= min_share else -np.inf
    return shares
