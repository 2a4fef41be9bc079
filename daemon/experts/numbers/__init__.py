"""Experts and baselines for a stream of numbers: what the value some steps ahead will be, as of each event.

After each event they predict the value ``horizon`` steps later, and they learn from it when it has come, not before.
``observe`` learns values; between it and ``stack`` the network learns what the linear expert leaves over, so that
``stack`` can weigh all experts. State is arrays of one row; what is learned and predicted is the same however the
values are split into calls.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.experts.numbers import linear, neighbours, places, profile, ridge, scaling, season, stack
from daemon.rows import Field, Row

__all__ = ["BASELINES", "EXPERTS", "NumberPanel", "Observed"]

EXPERTS = ("lstm", "linear", "neighbours")
BASELINES = ("last_value", "seasonal_naive")
FEATURES = (
    *("value", "usual", "deviation", "deviation before", "linear"),
    *("season sine", "season cosine", "short season sine", "short season cosine"),
)
FIRST_SEARCH = 128
LARGEST = 1e300
LIKENESS = (1.0, 1.0, 0.5)  # weights of the neighbours' taps: now, one step ago, and one short period before the target


class Observed(NamedTuple):
    """What is known and predicted after each of K events, of the value ``horizon`` steps after it.

    The network's prediction is to be that of the linear expert plus spread times the network's output, and the output
    that would have been right is known ``horizon`` events later, as ``residuals`` of that event.
    """

    values: NDArray[np.float64]  # (K,): cut to ``LARGEST`` in size
    residuals: NDArray[np.float64]  # (K,): right output ``horizon`` events ago, cut to 8 in size; NaN before the first
    spread: NDArray[np.float64]  # (K,): of what is usual at the target, in units of the values, above 0
    features: NDArray[np.float32]  # (K, len(FEATURES)): between -8 and 8
    linear: NDArray[np.float64]  # (K,): predictions
    neighbours: NDArray[np.float64]  # (K,): predictions
    baselines: NDArray[np.float64]  # (K, 2): predictions of BASELINES


class _Learned(NamedTuple):
    """What depends on the periods: K events, and H events before them."""

    scaled: profile.Scaled
    deviations: NDArray[np.float32]  # (H + K,)
    outcomes: NDArray[np.float32]  # (H + K,): 0 where unknown
    predictions: NDArray[np.float64]  # (K,): of the linear expert


class NumberPanel:
    """The experts and baselines of numbers; what they learned is in the rows.

    Args:
        horizon: Steps from an event to the value that is predicted after it, at least 1.
        history: Values that are remembered, at least 256 and four times each lag and period. Periods and neighbours
            are looked for among them.
        periods: The period of the season in steps, and one within it; nothing if they are to be found.
        lags: Steps back from the target that the linear expert looks at, at least ``horizon``; nothing for the usual.
        calendar: Whether events are alike by time of the day and week, instead of by their places in the periods.
        experts: Which of ``EXPERTS`` are weighed, in the order of the weights.
    """

    def __init__(
        self,
        *,
        horizon: int,
        history: int,
        periods: tuple[int, ...] = (),
        lags: tuple[int, ...] = (),
        calendar: bool = False,
        experts: tuple[str, ...] = EXPERTS,
    ) -> None:
        self._horizon = horizon
        self._history = history
        self._periods = periods
        self._lags = lags
        self._calendar = calendar
        self._experts = experts

    def fields(self) -> dict[str, Field]:
        """Describe the arrays of one stream."""
        return {
            "number_events": Field((1,), "int64"),
            "number_periods": Field((2,), "int64", (*self._periods, 1, 1)[:2]),
            "number_values": Field((self._history,), "float64"),
            "number_places": Field((2, self._history), "float32"),
            "number_asked": Field((2, self._horizon), "float64"),
            **scaling.fields(),
            **self._seasonal_fields(),
            **stack.fields(len(self._experts), self._horizon),
        }

    def observe(self, row: Row, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]) -> Observed:
        """Learn K >= 1 values, and predict after each.

        Args:
            row: The arrays of the stream, written to.
            values: Finite, float64 ``(K,)``.
            timestamps_ms: Since 1970, UTC, -1 where there is none, int64 ``(K,)``.
        """
        values = np.clip(values, -LARGEST, LARGEST)
        parts = []
        while len(values):
            events = int(row["number_events"][0])
            until_search = self._next_search(events) - events
            parts.append(self._learn(row, values[:until_search], timestamps_ms[:until_search]))
            if len(values) >= until_search and not self._periods:
                self._search(row)
            values, timestamps_ms = values[until_search:], timestamps_ms[until_search:]
        return Observed(*[np.concatenate(arrays) for arrays in zip(*parts, strict=True)])

    def stack(
        self, row: Row, observed: Observed, lstm: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Learn K observed values and weigh what the experts predict after each.

        Args:
            row: The arrays of the stream, written to.
            observed: What ``observe`` gave.
            lstm: The network's predictions, float64 ``(K,)``, if it is among the experts.

        Returns:
            The predictions to publish, float64 ``(K,)``, and the weights, which sum to 1, ``(K, E)``.
        """
        said = {"linear": observed.linear, "neighbours": observed.neighbours}
        if lstm is not None:
            said["lstm"] = lstm
        # the first is what the others are compared with, so it should be one that is never far off
        order = sorted(range(len(self._experts)), key=lambda place: self._experts[place] != "linear")
        predictions = np.column_stack([said[self._experts[place]] for place in order])
        published, weights = stack.observe(row, observed.values, predictions, observed.spread)
        return published, weights[:, np.argsort(order)]

    def break_sequence(self, row: Row) -> None:
        """Not yet."""

    def _seasonal_fields(self) -> dict[str, Field]:
        """Describe what is learned anew when the periods change."""
        return {
            "number_deviations": Field((self._history,), "float32"),
            "number_outcomes": Field((self._history,), "float32"),
            **profile.fields(max(self._history // season.LEAST_PERIODS, *self._periods, 1)),
            **linear.fields(horizon=self._horizon, lags=self._lags),
        }

    def _next_search(self, events: int) -> int:
        """Say at which number of events periods are looked for next."""
        step = FIRST_SEARCH if events < self._history // 4 else self._history // 4
        return (events // step + 1) * step

    def _search(self, row: Row) -> None:
        """Look for the periods; if they are others, learn the history anew with them."""
        events = int(row["number_events"][0])
        remembered = min(events, self._history)
        values = row["number_values"][-remembered:].copy()
        found = season.find_periods(values, row["number_periods"])
        if np.array_equal(found, row["number_periods"]):
            return
        row["number_periods"][:] = found
        steps = np.arange(events - remembered, events)
        if not self._calendar:
            row["number_places"][:, -remembered:] = places.of_steps(steps, found)
        for name, field in self._seasonal_fields().items():
            row[name][...] = field.fill
        self._learn_seasonal(row, values, steps)

    def _learn(self, row: Row, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]) -> Observed:
        """Learn values between two searches."""
        events, count = int(row["number_events"][0]), len(values)
        steps = np.arange(events, events + count)
        row["number_events"][0] += count
        now = places.of_times(timestamps_ms) if self._calendar else places.of_steps(steps, row["number_periods"])
        season_back, short_back = (
            linear.whole_periods(p, self._horizon) - self._horizon for p in row["number_periods"]
        )
        learned = self._learn_seasonal(row, values, steps)
        usual, spread, fitted = learned.scaled.usual, learned.scaled.spread, learned.predictions

        known = min(events, self._history)
        predicted = neighbours.predict(
            learned.deviations,
            _remember(row["number_places"], now),
            learned.outcomes,
            known=known,
            count=count,
            taps=(np.array([0, 1, short_back]), np.array(LIKENESS, np.float32)),
            horizon=self._horizon,
        )
        near = np.where(np.isnan(predicted), fitted, usual + spread * predicted)

        place = np.arange(self._history, self._history + count)
        naive = _remember(row["number_values"], values)[place - np.minimum(season_back, known + np.arange(count))]
        features = np.column_stack(
            (
                scaling.observe(row, values, usual),
                learned.scaled.deviations,
                learned.deviations[place - short_back],
                (fitted - usual) / spread,
                places.on_circles(now),
            )
        )
        asked = _remember(row["number_asked"], np.stack([fitted, spread]))[:, :count]
        with np.errstate(all="ignore"):
            residuals = np.clip((values - asked[0]) / asked[1], -ridge.MOST, ridge.MOST)
        return Observed(
            values=values,
            residuals=np.where(asked[1] > 0, residuals, np.nan),
            spread=spread,
            features=features.astype(np.float32),
            linear=fitted,
            neighbours=near,
            baselines=np.column_stack([values, naive]),
        )

    def _learn_seasonal(self, row: Row, values: NDArray[np.float64], steps: NDArray[np.int64]) -> _Learned:
        periods = row["number_periods"]
        scaled = profile.observe(row, values, steps, period=int(periods[0]), horizon=self._horizon)
        deviations = _remember(row["number_deviations"], scaled.deviations)
        back = linear.taps(horizon=self._horizon, lags=self._lags, periods=periods)
        fitted = linear.observe(row, values, deviations, scaled, back=back, lags=self._lags)
        outcomes = np.concatenate((row["number_outcomes"], np.zeros(len(values), np.float32)))
        outcomes[self._history - self._horizon :][: len(values)] = fitted.outcomes
        row["number_outcomes"][:] = outcomes[len(values) :]
        return _Learned(scaled, deviations, outcomes, fitted.predictions)


def _remember(remembered: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Append what is new to what is remembered, ``(..., H)``, which keeps its latest H; give all, ``(..., H + K)``."""
    both = np.concatenate((remembered, new), axis=-1)
    remembered[...] = both[..., new.shape[-1] :]
    return both
