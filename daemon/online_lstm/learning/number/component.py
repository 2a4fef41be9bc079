"""One component of the numbers: its past, and what its experts say of each of H steps ahead.

An event is learned in two steps, so that the experts of one component can look at the deviations of others: first where
its value is, then what comes of it. For a value that is missing stands in what the profile expects; it is no label, and
nothing is estimated from it. In the past that baselines and the search for periods look at, the last known value stands
in for it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import clock, neighbours, phase, ridge, scaling
from online_lstm.learning.number.seasonal import Seasonal, SeasonalDeviations, remember
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

LIKENESS = (1.0, 1.0, 0.5)  # weights of the neighbours' taps: now, one step ago, and one short period before the target


class ComponentResult(NamedTuple):
    """What is known and predicted after each of K events; NaN, and 0 in features, before the first value."""

    residuals: NDArray[np.float64]  # (H, K)
    spread: NDArray[np.float64]  # (H, K)
    scale: NDArray[np.float64]  # (K,)
    features: NDArray[np.float64]  # (K, F)
    linear: NDArray[np.float64]  # (H, K)
    neighbours: NDArray[np.float64]  # (H, K)
    baselines: NDArray[np.float64]  # (2, H, K)


class LocatedEvents(NamedTuple):
    """K events in the first of the two steps."""

    values: NDArray[np.float64]  # (K,): NaN where missing
    past: NDArray[np.float64]  # (N + K,): values, with the last known one for one that is missing
    known: int  # how many of the N there are in this sequence
    places: NDArray[np.float32]  # (2, N + K)
    clock: NDArray[np.float64]  # (H + 1, K)
    scaled: SeasonalDeviations
    searches: bool  # whether periods are looked for after these


class Component:
    """The experts of one component; arguments as for ``NumberPanel``, and how many others are looked at."""

    def __init__(
        self,
        *,
        horizons: tuple[int, ...],
        history: int,
        periods: tuple[int, ...],
        lags: tuple[int, ...],
        calendar: bool,
        others: int,
        learns: bool = True,
    ) -> None:
        self._horizons = horizons
        self._history = history
        self._calendar = calendar
        self._seasonal = Seasonal(
            horizons=horizons,
            history=history,
            periods=periods,
            lags=lags,
            calendar=calendar,
            others=others,
            learns=learns,
        )
        self._learns = learns

    @property
    def features(self) -> int:
        """How many features there are."""
        ahead = len(self._horizons)
        return 6 + 3 * ahead + (ahead + 1 if self._calendar else 0)

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        ahead = len(self._horizons)
        return {
            "number_events": ArraySpec((1,), "int64"),  # from the first value on
            "number_first": ArraySpec((1,), "int64"),  # number of the event that began the sequence
            "number_begins": ArraySpec((self._history,), "bool"),  # whether a value began a sequence
            "number_values": ArraySpec((self._history,), "float64"),
            "number_missing": ArraySpec((self._history,), "bool"),
            "number_places": ArraySpec((2, self._history), "float32"),
            "number_clock": ArraySpec((ahead + 1, self._history if self._calendar else 0), "float64"),
            "number_asked": ArraySpec((ahead, 2, self._horizons[-1]), "float64"),
            **(clock.fields() if self._calendar else {}),
            **scaling.fields(),
            **self._seasonal.fields(),
        }

    def until_cut(self, row: ArrayViews, values: NDArray[np.float64]) -> int:
        """Say how many of K values may be learned at once: until the first known one, or the next search."""
        if int(row["number_events"][0]):
            return min(len(values), self._seasonal.until_search(int(row["number_events"][0])))
        missing = np.isnan(values)
        if missing[0]:
            return len(values) if missing.all() else int(np.argmin(missing))
        return min(len(values), self._seasonal.until_search(0))

    def place(
        self, row: ArrayViews, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]
    ) -> LocatedEvents | None:
        """Learn where K values are, as many as ``until_cut`` allows; None before the first known one.

        Args:
            row: The arrays of the stream, written to.
            values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
            timestamps_ms: Since 1970, UTC, -1 where there is none, int64 ``(K,)``.
        """
        before, count = int(row["number_events"][0]), len(values)
        missing = np.isnan(values)
        if before == 0 and missing[0]:
            return None
        row["number_events"][0] += count
        filled = values
        if missing.any():
            line = np.concatenate((row["number_values"][-1:], values))
            filled = line[np.maximum.accumulate(np.where(np.isnan(line), 0, np.arange(count + 1)))[1:]]
        past = remember(row["number_values"], filled)
        remember(row["number_missing"], missing)
        steps = np.arange(before, before + count)
        first = int(row["number_first"][0])
        remember(row["number_begins"], steps == first)
        if self._calendar:
            by_clock = clock.observe(row, values, timestamps_ms, horizons=self._horizons, learns=self._learns)
            told = np.concatenate([by_clock.usual, by_clock.deviations[None]])
            remember(row["number_clock"], told)
            now = clock.places(timestamps_ms)
        else:
            told = np.empty((len(self._horizons) + 1, 0))
            now = phase.in_periods(steps, row["season_periods"])
        return LocatedEvents(
            values=values,
            past=past,
            known=min(before - first, self._history),
            places=remember(row["number_places"], now),
            clock=told,
            scaled=self._seasonal.scale(row, values, steps),
            searches=self._seasonal.until_search(before) == count,
        )

    def predict(self, row: ArrayViews, placed: LocatedEvents, others: NDArray[np.float64]) -> ComponentResult:
        """Learn what came of K events, and predict after each.

        Args:
            row: The arrays of the stream, written to.
            placed: What ``place`` gave.
            others: The deviations of other components at these events, float64 ``(K, M)``.
        """
        values, scaled = placed.values, placed.scaled.profile
        count = len(values)
        back = [self._seasonal.back(row, horizon) for horizon in self._horizons]
        learned = self._seasonal.predict(row, values, placed.scaled, clock=placed.clock, others=others)
        found = [
            neighbours.predict(
                placed.scaled.deviations,
                placed.places,
                outcomes,
                known=placed.known,
                count=count,
                taps=(np.array([0, 1, short_back]), np.array(LIKENESS, np.float32)),
                horizon=horizon,
            )
            for outcomes, (_, short_back), horizon in zip(learned.outcomes, back, self._horizons, strict=True)
        ]
        predicted = np.where(np.isnan(found), learned.predictions, scaled.usual + scaled.spread * np.array(found))
        place = np.arange(self._history, self._history + count)
        learned_from = values if self._learns else np.full(count, np.nan)
        scale = scaling.observe(row, learned_from, scaled.values, scaled.usual)
        features: tuple[NDArray[Any], ...] = (
            scale.numbers,
            scaled.deviations,
            *(placed.scaled.deviations[place - short_back] for _, short_back in back),
            ((learned.predictions - scaled.usual) / scaled.spread).T,
            phase.on_circles(np.ascontiguousarray(placed.places[:, self._history :])),
            learned.by_clock,
        )
        season_ago = [
            placed.past[place - np.minimum(season_back, placed.known + np.arange(count))] for season_back, _ in back
        ]
        return ComponentResult(
            residuals=self._residuals(row, values, np.stack([learned.predictions, scaled.spread], axis=1)),
            spread=scaled.spread,
            scale=scale.spread,
            features=np.column_stack(features),
            linear=learned.predictions,
            neighbours=predicted,
            baselines=np.stack([np.tile(placed.past[place], (len(self._horizons), 1)), season_ago]),
        )

    def nothing(self, count: int) -> ComponentResult:
        """Give what is known of K events before the first value."""
        ahead = np.full((len(self._horizons), count), np.nan)
        return ComponentResult(
            residuals=ahead,
            spread=ahead,
            scale=ahead[0],
            features=np.zeros((count, self.features)),
            linear=ahead,
            neighbours=ahead,
            baselines=np.stack([ahead, ahead]),
        )

    def break_sequence(self, row: ArrayViews) -> None:
        """Let the next value begin a sequence."""
        row["number_first"][:] = row["number_events"]
        row["number_asked"][...] = 0
        self._seasonal.break_sequence(row)
        if self._calendar:
            clock.break_sequence(row)

    def search(self, row: ArrayViews, others: NDArray[np.float32]) -> None:
        """Look for the periods; events are in other places if they have changed.

        Args:
            row: The arrays of the stream, written to.
            others: The remembered deviations of the other components, float32 ``(M, N)``.
        """
        events = int(row["number_events"][0])
        latest = slice(-min(events, self._history), None)
        changed = self._seasonal.search(
            row,
            events,
            row["number_values"][latest],
            missing=row["number_missing"][latest],
            begins=row["number_begins"][latest],
            clock=row["number_clock"][:, latest],
            others=others[:, latest].T.astype(np.float64),
        )
        if changed and not self._calendar:
            steps = np.arange(events + latest.start, events)
            row["number_places"][:, latest] = phase.in_periods(steps, row["season_periods"])

    def _residuals(
        self, row: ArrayViews, values: NDArray[np.float64], told: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Say what should have been told of K values; remember what is told now, ``(H, 2, K)``."""
        asked = remember(row["number_asked"], told)
        due = [
            line[:, self._horizons[-1] - h :][:, : len(values)] for line, h in zip(asked, self._horizons, strict=True)
        ]
        prediction, spread = np.stack(due, axis=1)
        with np.errstate(all="ignore"):
            residuals = np.clip((values - prediction) / spread, -ridge.MAX_TARGET, ridge.MAX_TARGET)
        return np.where(spread > 0, residuals, np.nan)
