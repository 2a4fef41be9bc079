"""What depends on the season: the periods, the profile, and the linear expert on deviations from it.

At set numbers of events the periods are looked for in the history, as if all of it had been at the level of now. Where
they have changed, profile and linear expert forget all they have learned, and learn that history anew, one sequence
after another.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.experts.numbers import linear, profile, season
from daemon.rows import Field, Row

JUMPS = 8
"""So many jumps of the level are remembered."""

FIRST_SEARCH = 128
"""Periods are looked for after so many events, twice as many, and so on, then after each quarter of the history."""


class Learned(NamedTuple):
    """K events, and where it says so the H events before them as well."""

    scaled: profile.Scaled
    deviations: NDArray[np.float32]  # (H + K,)
    outcomes: NDArray[np.float32]  # (H + K,): deviations of what came ``horizon`` steps later, 0 where unknown
    by_clock: NDArray[np.float64]  # (K, 0 or 2): what the clock tells, without a unit
    predictions: NDArray[np.float64]  # (K,): of the linear expert


class Seasonal:
    """The state that depends on the season; arguments as for ``NumberPanel``."""

    def __init__(
        self, *, horizon: int, history: int, periods: tuple[int, ...], lags: tuple[int, ...], calendar: bool
    ) -> None:
        self._horizon = horizon
        self._history = history
        self._periods = periods
        self._lags = lags
        self._calendar = calendar

    def fields(self) -> dict[str, Field]:
        """Describe the arrays of one stream."""
        return {
            "season_periods": Field((2,), "int64", (*self._periods, 1, 1)[:2]),
            "season_jumps": Field((2, JUMPS), "float64"),  # number of the event, and how far
            **self._learned_fields(),
        }

    def until_search(self, events: int) -> int:
        """Say how many events are learned after the first ``events`` until periods are looked for."""
        quarter = self._history // 4
        if events >= quarter:
            return quarter - events % quarter
        following = FIRST_SEARCH
        while following <= events:
            following *= 2
        return min(following, quarter) - events

    def search(
        self,
        row: Row,
        events: int,
        values: NDArray[np.float64],
        *,
        begins: NDArray[np.bool_],
        clock: NDArray[np.float64],
    ) -> bool:
        """Look for the periods; if they have changed, learn the history anew and say so.

        Args:
            row: The arrays of the stream, written to.
            events: How many there have been.
            values: The last of them, float64 ``(N,)``.
            begins: Which of them began a sequence, bool ``(N,)``.
            clock: What the clock told of these, float64 ``(2, N)``.
        """
        if self._periods:
            return False
        steps = np.arange(events - len(values), events)
        values = values.copy()
        for step, jump in row["season_jumps"].T:
            values[steps <= step - profile.JUMP] += jump
        found = season.find_periods(values, row["season_periods"])
        if np.array_equal(found, row["season_periods"]):
            return False
        row["season_periods"][:] = found
        for name, field in self._learned_fields().items():
            row[name][...] = field.fill
        firsts = [0, *(1 + np.flatnonzero(begins[1:])).tolist(), len(values)]
        for first, end in itertools.pairwise(firsts):
            if first > 0:
                self.break_sequence(row)
            self.learn(row, values[first:end], steps[first:end], clock[:, first:end])
        return True

    @staticmethod
    def break_sequence(row: Row) -> None:
        """Let the next value begin a sequence: the deviations before it are not looked at, nor are labels for them."""
        row["season_deviations"][:] = 0
        row["season_outcomes"][:] = 0
        linear.break_sequence(row)

    def learn(
        self, row: Row, values: NDArray[np.float64], steps: NDArray[np.int64], clock: NDArray[np.float64]
    ) -> Learned:
        """Learn K values.

        Args:
            row: The arrays of the stream, written to.
            values: At most 1e300 in size, float64 ``(K,)``.
            steps: The numbers of the events, int64 ``(K,)``.
            clock: What is usual by the clock at the target, and how far the value is from what was, in spreads,
                float64 ``(2, K)``; anything without a calendar.
        """
        period = int(row["season_periods"][0])
        slots = np.stack([steps, steps + self._horizon]) % period
        scaled = profile.observe(row, _PROFILE, values, slots)
        jumped = np.flatnonzero(scaled.jumps)
        remember(row["season_jumps"], np.stack([steps[jumped], scaled.jumps[jumped]]))
        deviations = remember(row["season_deviations"], scaled.deviations)
        by_clock = np.empty((len(values), 0))
        if self._calendar:
            with np.errstate(over="ignore"):
                apart = np.clip(
                    (clock[0] - scaled.usual) / scaled.spread, -profile.MOST_DEVIATION, profile.MOST_DEVIATION
                )
            by_clock = np.column_stack([apart, clock[1]])
        fitted = linear.observe(row, values, deviations, scaled, back=self._taps(row), others=by_clock)
        outcomes = np.concatenate((row["season_outcomes"], np.zeros(len(values), np.float32)))
        outcomes[self._history - self._horizon :][: len(values)] = fitted.outcomes
        row["season_outcomes"][:] = outcomes[len(values) :]
        return Learned(scaled, deviations, outcomes, by_clock, fitted.predictions)

    def back(self, row: Row) -> list[int]:
        """Say how many steps ago an event was where the target is, in the period and in the shorter one."""
        return [
            linear.whole_periods(period, self._horizon) - self._horizon for period in row["season_periods"].tolist()
        ]

    def _taps(self, row: Row) -> NDArray[np.int64]:
        return linear.taps(horizon=self._horizon, lags=self._lags, periods=row["season_periods"])

    def _learned_fields(self) -> dict[str, Field]:
        taps = len(linear.taps(horizon=self._horizon, lags=self._lags, periods=np.ones(2, np.int64)))
        return {
            "season_deviations": Field((self._history,), "float32"),
            "season_outcomes": Field((self._history,), "float32"),
            **profile.fields(_PROFILE, max(self._history // season.LEAST_PERIODS, *self._periods, 1)),
            **linear.fields(horizon=self._horizon, taps=taps, others=2 if self._calendar else 0),
        }


_PROFILE = "profile_"


def remember(remembered: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Append what is new to what is remembered, ``(..., H)``, which keeps its latest H; give all, ``(..., H + K)``."""
    both = np.concatenate((remembered, new), axis=-1)
    remembered[...] = both[..., new.shape[-1] :]
    return both
