"""Experts and baselines for a stream of numbers: what the value some steps ahead will be, as of each event.

After each event they predict the value ``horizon`` steps later, and they learn from it when it has come, not before.
``observe`` learns values; between it and ``stack`` the network learns what the linear expert leaves over, so that
``stack`` can weigh all experts. State is arrays of one row; what is learned and predicted is the same however the
values are split into calls.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon import records
from daemon.experts.numbers import clock, fallback, neighbours, places, ridge, scaling, stack
from daemon.experts.numbers.seasonal import Seasonal, remember
from daemon.rows import Field, Row

__all__ = ["BASELINES", "EXPERTS", "NumberPanel", "Observed"]

EXPERTS, BASELINES = records.EXPERTS["number"], records.BASELINES["number"]
LARGEST = 1e300
LIKENESS = (1.0, 1.0, 0.5)  # weights of the neighbours' taps: now, one step ago, and one short period before the target


class Observed(NamedTuple):
    """What is known and predicted after each of K events, of the value ``horizon`` steps after it.

    The network's prediction is to be that of the linear expert plus spread times the network's output, and the output
    that would have been right is known ``horizon`` events later, as ``residuals`` of that event.
    Features are the value and what is usual at the target, both in spreads from the centre of all values; the
    deviation, and that of one short period before the target; the linear prediction in spreads from the usual; sine
    and cosine of the places in the period and in the shorter one (in week and day, with a calendar); and, with a
    calendar, how far what is usual at the target by the clock is from the usual, and the deviation by the clock.
    """

    values: NDArray[np.float64]  # (K,): cut to ``LARGEST`` in size
    residuals: NDArray[np.float64]  # (K,): right output ``horizon`` events ago, cut to 8 in size; NaN before the first
    spread: NDArray[np.float64]  # (K,): of what is usual at the target, in units of the values, above 0
    scale: NDArray[np.float64]  # (K,): mean distance of the values from their centre, in their units, above 0
    features: NDArray[np.float32]  # (K, D): between -8 and 8
    linear: NDArray[np.float64]  # (K,): predictions
    neighbours: NDArray[np.float64]  # (K,): predictions
    baselines: NDArray[np.float64]  # (K, 2): predictions of BASELINES

    def predictions(self, experts: Sequence[str], lstm: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Give what these experts predict, float64 ``(K, E)``; ``lstm`` is what the network does, if it is one."""
        said: dict[str, Any] = {"lstm": lstm, "linear": self.linear, "neighbours": self.neighbours}
        return np.column_stack([said[name] for name in experts])


class NumberPanel:
    """The experts and baselines of numbers; what they learned is in the rows.

    Args:
        horizon: Steps from an event to the value that is predicted after it, at least 1.
        history: Values that are remembered, at least 256 and four times each lag and period. Periods and neighbours
            are looked for among them.
        periods: The period of the season in steps, and one within it; nothing if they are to be found.
        lags: Steps back from the target that the linear expert looks at, at least ``horizon``; nothing for the usual.
        calendar: Whether to look at the clock: linear expert and network are told what is usual at a time of the week,
            and events are alike by time of the day and week, not by their places in the periods.
        experts: Which of ``EXPERTS`` are weighed, in the order of the weights. The network alone is not weighed: what
            it says is published as it is.
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
        self._calendar = calendar
        self._experts = experts
        self._weighed = experts != ("lstm",)
        self._seasonal = Seasonal(horizon=horizon, history=history, periods=periods, lags=lags, calendar=calendar)

    @property
    def features(self) -> int:
        """How many features there are."""
        return 11 if self._calendar else 9

    def fields(self) -> dict[str, Field]:
        """Describe the arrays of one stream."""
        return {
            "number_events": Field((1,), "int64"),
            "number_first": Field((1,), "int64"),  # number of the event that began the sequence
            "number_begins": Field((self._history,), "bool"),  # whether a value began a sequence
            "number_values": Field((self._history,), "float64"),
            "number_places": Field((2, self._history), "float32"),
            "number_clock": Field((2, self._history if self._calendar else 0), "float64"),
            "number_asked": Field((2, self._horizon), "float64"),
            **(clock.fields() if self._calendar else {}),
            **scaling.fields(),
            **self._seasonal.fields(),
            **(self._fields_of_weights() if self._weighed else {}),
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
            count = min(len(values), self._seasonal.until_search(int(row["number_events"][0])))
            parts.append(self._learn(row, values[:count], timestamps_ms[:count]))
            values, timestamps_ms = values[count:], timestamps_ms[count:]
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
            The predictions to publish, float64 ``(K,)``, and the weights, ``(K, E)``, which sum to 1, or are 0 where a
            baseline is published.
        """
        if lstm is not None and not self._weighed:
            return lstm, np.ones((len(lstm), 1))
        # the first is what the others are compared with, so it should be one that is never far off
        order = sorted(self._experts, key=lambda name: name != "linear")
        predictions = observed.predictions(order, lstm)
        stacked, weights = stack.observe(row, observed.values, predictions, observed.spread)
        candidates = np.column_stack([stacked, observed.baselines])
        chosen = fallback.observe(row, observed.values, candidates)
        published = np.take_along_axis(candidates, chosen[:, None], axis=1)[:, 0]
        return published, np.where(chosen[:, None] > 0, 0, weights[:, [order.index(name) for name in self._experts]])

    def break_sequence(self, row: Row) -> None:
        """Let the next value begin a sequence: none before it is looked back at, and no prediction waits for it.

        What was learned stays, and the season goes on as if the next value had followed.
        """
        row["number_first"][:] = row["number_events"]
        row["number_asked"][...] = 0
        Seasonal.break_sequence(row)
        for part, used in ((stack, self._weighed), (fallback, self._weighed), (clock, self._calendar)):
            if used:
                part.break_sequence(row)

    def _fields_of_weights(self) -> dict[str, Field]:
        return stack.fields(len(self._experts), self._horizon) | fallback.fields(1 + len(BASELINES), self._horizon)

    def _learn(self, row: Row, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]) -> Observed:
        """Learn values until periods are looked for at most."""
        before, count = int(row["number_events"][0]), len(values)
        row["number_events"][0] += count
        all_values = remember(row["number_values"], values)
        steps = np.arange(before, before + count)
        first = int(row["number_first"][0])
        remember(row["number_begins"], steps == first)
        if self._calendar:
            by_clock = clock.observe(row, values, timestamps_ms, horizon=self._horizon)
            told = np.stack([by_clock.usual, by_clock.deviations])
            remember(row["number_clock"], told)
            now = clock.places(timestamps_ms)
        else:
            told = np.empty((2, 0))
            now = places.in_periods(steps, row["season_periods"])
        all_places = remember(row["number_places"], now)
        season_back, short_back = self._seasonal.back(row)
        learned = self._seasonal.learn(row, values, steps, told)
        usual, spread = learned.scaled.usual, learned.scaled.spread

        known = min(before - first, self._history)
        predicted = neighbours.predict(
            learned.deviations,
            all_places,
            learned.outcomes,
            known=known,
            count=count,
            taps=(np.array([0, 1, short_back]), np.array(LIKENESS, np.float32)),
            horizon=self._horizon,
        )
        place = np.arange(self._history, self._history + count)
        scaled = scaling.observe(row, values, usual)
        features = (
            scaled.numbers,
            learned.scaled.deviations,
            learned.deviations[place - short_back],
            (learned.predictions - usual) / spread,
            places.on_circles(now),
            learned.by_clock,
        )
        observed = Observed(
            values=values,
            residuals=self._residuals(row, values, np.stack([learned.predictions, spread])),
            spread=spread,
            scale=scaled.spread,
            features=np.column_stack(features).astype(np.float32),
            linear=learned.predictions,
            neighbours=np.where(np.isnan(predicted), learned.predictions, usual + spread * predicted),
            baselines=np.column_stack([values, all_values[place - np.minimum(season_back, known + np.arange(count))]]),
        )
        if self._seasonal.until_search(before) == count:
            self._search(row)
        return observed

    @staticmethod
    def _residuals(row: Row, values: NDArray[np.float64], told: NDArray[np.float64]) -> NDArray[np.float64]:
        """Say what should have been told ``horizon`` events ago, and remember what is told now."""
        prediction, spread = remember(row["number_asked"], told)[:, : len(values)]
        with np.errstate(all="ignore"):
            residuals = np.clip((values - prediction) / spread, -ridge.MOST, ridge.MOST)
        return np.where(spread > 0, residuals, np.nan)

    def _search(self, row: Row) -> None:
        """Look for the periods; events are in other places if they have changed."""
        events = int(row["number_events"][0])
        latest = slice(-min(events, self._history), None)
        changed = self._seasonal.search(
            row,
            events,
            row["number_values"][latest],
            begins=row["number_begins"][latest],
            clock=row["number_clock"][:, latest],
        )
        if changed and not self._calendar:
            steps = np.arange(events + latest.start, events)
            row["number_places"][:, latest] = places.in_periods(steps, row["season_periods"])
