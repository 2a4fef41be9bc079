"""The season-dependent state: the periods, the profile, and the linear experts on deviations from the profile.

At fixed event counts, the periods are searched in the lookback, after a correction of the history to the current level.
If the periods have changed, the profile and the linear experts are reset, and learn the history again, sequence by
sequence.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import linear, period_search, season_profile
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, repeated_spec

JUMPS = 8
"""Number of jumps of the level that are kept."""

FIRST_SEARCH = 32
"""Events before the first period search; the next ones follow at twice the count, then every quarter of the history."""


class SeasonalDeviations(NamedTuple):
    """K events in units of the profile, and the deviations of these and the N earlier events."""

    profile: season_profile.ProfileDeviations
    deviations: NDArray[np.float32]  # (N + K,)


class SeasonalResult(NamedTuple):
    """The predictions of H targets after K events, and the outcomes of these and the N earlier events."""

    outcomes: NDArray[np.float32]  # (H, N + K): deviations of the targets, 0 before they arrive, NaN if unknown
    by_clock: NDArray[np.float64]  # (K, 0 or H + 1): inputs from the clock, dimensionless
    predictions: NDArray[np.float64]  # (K, H): predictions of the linear experts


class Seasonal:
    """The season-dependent state of one component; the arguments are those of ``NumberEnsemble``.

    ``scale`` is called first, for all components, so that ``predict`` can use the deviations of other components.
    ``others`` is the number of these other components.
    """

    def __init__(
        self,
        *,
        horizons: tuple[int, ...],
        lookback: int,
        periods: tuple[int, ...],
        lags: tuple[int, ...],
        calendar: bool,
        others: int = 0,
        learns: bool = True,
    ) -> None:
        self._horizons = horizons
        self._lookback = lookback
        self._periods = periods
        self._lags = lags
        self._calendar = calendar
        self._others = others
        self._learns = learns

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        return {
            "season_periods": ArraySpec((2,), "int64", (*self._periods, 1, 1)[:2]),
            "season_jumps": ArraySpec((2, JUMPS), "float64"),  # first event at a new level, and shift of the level
            **self._learned_fields(),
        }

    def until_search(self, events: int) -> int:
        """Return how many events follow the first ``events`` until the next period search."""
        quarter = self._lookback // 4
        if events >= quarter:
            return quarter - events % quarter
        following = FIRST_SEARCH
        while following <= events:
            following *= 2
        return min(following, quarter) - events

    def search(
        self,
        row: ArrayViews,
        events: int,
        values: NDArray[np.float64],
        *,
        missing: NDArray[np.bool_],
        begins: NDArray[np.bool_],
        clock: NDArray[np.float64],
        others: NDArray[np.float64],
    ) -> bool:
        """Search the periods; if they have changed, learn the history again. Return whether they have changed.

        Args:
            row: The arrays of the stream, written to.
            events: Number of events so far.
            values: Values of the last N events; a missing value is replaced by its predecessor, float64 ``(N,)``.
            missing: Which of them are missing, bool ``(N,)``.
            begins: Which of them began a sequence, bool ``(N,)``.
            clock: Means and deviations by the clock at these events, as for ``predict``.
            others: Deviations of other components at these events, as for ``predict``.
        """
        if self._periods or not self._learns:
            return False
        steps = np.arange(events - len(values), events)
        values = values.copy()
        for step, jump in row["season_jumps"].T:
            values[steps < step] += jump
        periods = period_search.find_periods(values, row["season_periods"])
        if np.array_equal(periods, row["season_periods"]):
            return False
        row["season_periods"][:] = periods
        for name, field in self._learned_fields().items():
            row[name][...] = field.fill
        values[missing] = np.nan
        firsts = [0, *(1 + np.flatnonzero(begins[1:])).tolist(), len(values)]
        for first, end in itertools.pairwise(firsts):
            if first > 0:
                self.break_sequence(row)
            here = slice(first, first)
            while here.stop < end:
                rest = slice(here.stop, end)
                here = slice(here.stop, here.stop + self.until_change(row, values[rest], steps[rest]))
                scaled = self.scale(row, values[here], steps[here])
                self.predict(row, values[here], scaled, clock=clock[here], others=others[here])
        return True

    def break_sequence(self, row: ArrayViews) -> None:
        """Begin a new sequence with the next value: discard earlier deviations, outcomes and pending predictions."""
        row["season_deviations"][:] = 0
        row["season_outcomes"][:] = 0
        season_profile.break_sequence(row, _PROFILE)
        for index in range(len(self._horizons)):
            linear.break_sequence(self._row_ahead(row, index))

    def scale(self, row: ArrayViews, values: NDArray[np.float64], steps: NDArray[np.int64]) -> SeasonalDeviations:
        """Learn the profile from K values, and return their deviations.

        Args:
            row: The arrays of the stream, written to.
            values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
            steps: The numbers of the events, int64 ``(K,)``.
        """
        scaled = season_profile.observe(row, _PROFILE, values, self._slots(row, steps), learns=self._learns)
        deviations = remember(row["season_deviations"], scaled.deviations)
        if scaled.changes[0]:
            self._follow(row, int(steps[0]), scaled, deviations)
        return SeasonalDeviations(scaled, deviations)

    def until_change(self, row: ArrayViews, values: NDArray[np.float64], steps: NDArray[np.int64]) -> int:
        """Return how many of K values ``scale`` may learn in one call: none after a change of the level, or only it."""
        if len(values) == 1 or not self._learns:
            return len(values)
        return max(1, season_profile.until_change(row, _PROFILE, values, self._slots(row, steps)))

    def _slots(self, row: ArrayViews, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        slots: NDArray[np.int64] = (steps[:, None] + np.array([0, *self._horizons])) % int(row["season_periods"][0])
        return slots

    @staticmethod
    def _follow(
        row: ArrayViews, step: int, scaled: season_profile.ProfileDeviations, deviations: NDArray[np.float32]
    ) -> None:
        """Convert the deviations before a change of the level to the units after it, and remember the change."""
        limit = season_profile.MAX_DEVIATION
        kind, shift, before = scaled.changes[0], scaled.jumps[0], deviations[:-1]
        far = np.flatnonzero(np.abs(before) == limit)[1 - season_profile.JUMP :]
        before[:] = np.clip(before / scaled.growth[0], -limit, limit)
        if kind == season_profile.NEW:  # the far values are at the new level already
            away = row[_PROFILE + "far"][-season_profile.JUMP : -1] - shift
            before[far] = np.clip(away / scaled.spread[0, 0], -limit, limit)
            step -= len(before) - int(far[0])
        row["season_deviations"][...] = deviations[1:]
        jumps = row["season_jumps"]
        if kind == season_profile.BACK:
            jumps[:, 1:] = jumps[:, :-1].copy()
            jumps[:, 0] = 0
        else:
            remember(jumps, np.array([[step], [shift]]))

    def predict(
        self,
        row: ArrayViews,
        values: NDArray[np.float64],
        scaled: SeasonalDeviations,
        *,
        clock: NDArray[np.float64],
        others: NDArray[np.float64],
    ) -> SeasonalResult:
        """Learn the linear experts from K scaled values, and predict after each value.

        Args:
            row: The arrays of the stream, written to.
            values: As for ``scale``.
            scaled: The result of ``scale``.
            clock: Means by the clock at the targets, and the deviation of the value by the clock, in spreads,
                float64 ``(K, H + 1)``; ignored without a calendar.
            others: The deviations of other components at the same events, float64 ``(K, M)``.
        """
        count, by_clock = len(values), np.empty((len(values), 0))
        if self._calendar:
            with np.errstate(over="ignore"):
                apart = np.clip(
                    (clock[:, :-1] - scaled.profile.usual) / scaled.profile.spread,
                    -season_profile.MAX_DEVIATION,
                    season_profile.MAX_DEVIATION,
                )
            by_clock = np.column_stack([apart, clock[:, -1]])
        known = np.concatenate((row["season_outcomes"], np.zeros((len(self._horizons), count), np.float32)), axis=1)
        predictions = np.empty((count, len(self._horizons)))
        for index, horizon in enumerate(self._horizons):
            fitted = linear.observe(
                self._row_ahead(row, index),
                values,
                scaled.deviations,
                season_profile.ahead(scaled.profile, index),
                horizon=horizon,
                back=self._taps(row, horizon),
                others=np.column_stack([by_clock[:, [index, -1]] if self._calendar else by_clock, others]),
                learns=self._learns,
            )
            known[index, self._lookback - horizon :][:count] = fitted.outcomes
            predictions[:, index] = fitted.predictions
        row["season_outcomes"][...] = known[:, count:]
        return SeasonalResult(known, by_clock, predictions)

    def back(self, row: ArrayViews, horizon: int) -> list[int]:
        """Return the steps back to the latest event in the target's phase, for the period and the shorter period."""
        return [linear.whole_periods(period, horizon) - horizon for period in row["season_periods"].tolist()]

    def _taps(self, row: ArrayViews, horizon: int) -> NDArray[np.int64]:
        return linear.taps(horizon=horizon, lags=self._lags, periods=row["season_periods"])

    @staticmethod
    def _row_ahead(row: ArrayViews, index: int) -> ArrayViews:
        return {name: row[name][index] for name in linear.NAMES}

    def _learned_fields(self) -> dict[str, ArraySpec]:
        taps = len(linear.taps(horizon=1, lags=self._lags, periods=np.ones(2, np.int64)))
        others = self._others + (2 if self._calendar else 0)
        return {
            "season_deviations": ArraySpec((self._lookback,), "float32"),
            "season_outcomes": ArraySpec((len(self._horizons), self._lookback), "float32"),
            **season_profile.fields(_PROFILE, max(self._lookback // period_search.MIN_PERIODS, *self._periods, 1)),
            **repeated_spec(linear.fields(pending=self._horizons[-1], taps=taps, others=others), len(self._horizons)),
        }


_PROFILE = "profile_"


def remember(remembered: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Append K new values to ``remembered``, ``(..., H)``, which keeps the last H; return all, ``(..., H + K)``."""
    both = np.concatenate((remembered, new), axis=-1)
    remembered[...] = both[..., new.shape[-1] :]
    return both
