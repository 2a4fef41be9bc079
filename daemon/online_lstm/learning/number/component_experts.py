"""One component of the numbers: its past values, and the predictions of its experts at each of H horizons.

An event is learned in two steps, so that the experts of one component can use the deviations of other components.
``locate`` computes the deviation of the value from its profile; ``predict`` learns from the outcome and predicts. A
missing value is replaced by the expectation of the profile; it is not used as a label, and no estimate is updated with
it. In the past values that the baselines and the period search use, a missing value is replaced by the last known
value.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import neighbours, plausible_range, ridge, scaling, season_phase, week_profile
from online_lstm.learning.number.plausible_range import PlausibleRange
from online_lstm.learning.number.season_state import Seasonal, SeasonalDeviations, remember
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

LIKENESS = (1.0, 1.0, 0.5)  # weights of the neighbours' taps: now, one step ago, and one short period before the target


class ComponentResult(NamedTuple):
    """The predictions and the inputs of the network after each of K events; before the first value NaN, features 0."""

    residuals: NDArray[np.float64]  # (K, H)
    spread: NDArray[np.float64]  # (K, H)
    scale: NDArray[np.float64]  # (K,)
    features: NDArray[np.float64]  # (K, F)
    linear: NDArray[np.float64]  # (K, H)
    neighbours: NDArray[np.float64]  # (K, H)
    baselines: NDArray[np.float64]  # (K, H, 2)
    plausible: PlausibleRange


class LocatedEvents(NamedTuple):
    """K events after the first of the two steps."""

    values: NDArray[np.float64]  # (K,): NaN where missing
    past: NDArray[np.float64]  # (N + K,): a missing value is replaced by the last known value
    known: int  # number of the N earlier events that belong to this sequence
    phases: NDArray[np.float32]  # (2, N + K)
    clock: NDArray[np.float64]  # (K, H + 1)
    scaled: SeasonalDeviations
    searches: bool  # whether a period search follows these events


class Component:
    """The experts of one component.

    The arguments are those of ``NumberEnsemble``; ``others`` is the number of other components that the linear experts
    use.
    """

    def __init__(
        self,
        *,
        horizons: tuple[int, ...],
        lookback: int,
        periods: tuple[int, ...],
        lags: tuple[int, ...],
        calendar: bool,
        others: int,
        range_margin: float,
        learns: bool = True,
    ) -> None:
        self._horizons = horizons
        self._lookback = lookback
        self._calendar = calendar
        self._range_margin = range_margin
        self._seasonal = Seasonal(
            horizons=horizons,
            lookback=lookback,
            periods=periods,
            lags=lags,
            calendar=calendar,
            others=others,
            learns=learns,
        )
        self._learns = learns

    @property
    def features(self) -> int:
        """The number of features."""
        ahead = len(self._horizons)
        return 6 + 3 * ahead + (ahead + 1 if self._calendar else 0)

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        ahead = len(self._horizons)
        return {
            "number_events": ArraySpec((1,), "int64"),  # number of events since the first value
            "number_first": ArraySpec((1,), "int64"),  # number of the first event of the sequence
            "number_begins": ArraySpec((self._lookback,), "bool"),  # whether a value began a sequence
            "number_values": ArraySpec((self._lookback,), "float64"),
            "number_missing": ArraySpec((self._lookback,), "bool"),
            "number_places": ArraySpec((2, self._lookback), "float32"),
            "number_clock": ArraySpec((ahead + 1, self._lookback if self._calendar else 0), "float64"),
            "number_asked": ArraySpec((ahead, 2, self._horizons[-1]), "float64"),
            **(week_profile.fields() if self._calendar else {}),
            **scaling.fields(),
            **plausible_range.fields(),
            **self._seasonal.fields(),
        }

    def until_cut(self, row: ArrayViews, values: NDArray[np.float64]) -> int:
        """Return how many of K values one call may learn.

        These are the values up to the first known value or the next period search, or before the next change of the
        level, or the value that changes it.
        """
        events = int(row["number_events"][0])
        if events == 0:
            missing = np.isnan(values)
            if missing[0]:
                return len(values) if missing.all() else int(np.argmin(missing))
        values = values[: self._seasonal.until_search(events)]
        return self._seasonal.until_change(row, values, np.arange(events, events + len(values)))

    def locate(
        self, row: ArrayViews, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]
    ) -> LocatedEvents | None:
        """Learn the profile from K values, and return their deviations; None before the first known value.

        K is at most the result of ``until_cut``.

        Args:
            row: The arrays of the stream, written to.
            values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
            timestamps_ms: Milliseconds since 1970, UTC, -1 where there is no timestamp, int64 ``(K,)``.
        """
        before, count = int(row["number_events"][0]), len(values)
        missing = np.isnan(values)
        if before == 0 and missing[0]:
            return None
        row["number_events"][0] += count
        filled = values
        if missing.any():
            column = np.concatenate((row["number_values"][-1:], values))
            filled = column[np.maximum.accumulate(np.where(np.isnan(column), 0, np.arange(count + 1)))[1:]]
        past = remember(row["number_values"], filled)
        remember(row["number_missing"], missing)
        steps = np.arange(before, before + count)
        first = int(row["number_first"][0])
        remember(row["number_begins"], steps == first)
        if self._calendar:
            by_clock = week_profile.observe(row, values, timestamps_ms, horizons=self._horizons, learns=self._learns)
            expected = np.column_stack([by_clock.usual, by_clock.deviations])
            remember(row["number_clock"], expected.T)
            now = week_profile.phases(timestamps_ms)
        else:
            expected = np.empty((count, 0))
            now = season_phase.in_periods(steps, row["season_periods"])
        return LocatedEvents(
            values=values,
            past=past,
            known=min(before - first, self._lookback),
            phases=remember(row["number_places"], now),
            clock=expected,
            scaled=self._seasonal.scale(row, values, steps),
            searches=self._seasonal.until_search(before) == count,
        )

    def predict(self, row: ArrayViews, located: LocatedEvents, others: NDArray[np.float64]) -> ComponentResult:
        """Learn from the outcomes of K events, and predict after each event.

        Args:
            row: The arrays of the stream, written to.
            located: The result of ``locate``.
            others: The deviations of the other components at these events, float64 ``(K, M)``.
        """
        values, scaled = located.values, located.scaled.profile
        count = len(values)
        back = [self._seasonal.back(row, horizon) for horizon in self._horizons]
        learned = self._seasonal.predict(row, values, located.scaled, clock=located.clock, others=others)
        similar = [
            neighbours.predict(
                located.scaled.deviations,
                located.phases,
                outcomes,
                known=located.known,
                count=count,
                taps=(np.array([0, 1, short_back]), np.array(LIKENESS, np.float32)),
                horizon=horizon,
            )
            for outcomes, (_, short_back), horizon in zip(learned.outcomes, back, self._horizons, strict=True)
        ]
        deviations = np.column_stack(similar)
        nearby = np.where(np.isnan(deviations), learned.predictions, scaled.usual + scaled.spread * deviations)
        now = np.arange(self._lookback, self._lookback + count)
        learned_from = values if self._learns else np.full(count, np.nan)
        scale = scaling.observe(row, learned_from, scaled.values, scaled.usual)
        features: tuple[NDArray[Any], ...] = (
            scale.numbers,
            scaled.deviations,
            *(located.scaled.deviations[now - short_back] for _, short_back in back),
            (learned.predictions - scaled.usual) / scaled.spread,
            season_phase.on_circles(np.ascontiguousarray(located.phases[:, self._lookback :])),
            learned.by_clock,
        )
        season_ago = [
            located.past[now - np.minimum(season_back, located.known + np.arange(count))] for season_back, _ in back
        ]
        return ComponentResult(
            residuals=self._residuals(row, values, learned.predictions, scaled.spread),
            spread=scaled.spread,
            scale=scale.spread,
            features=np.column_stack(features),
            linear=learned.predictions,
            neighbours=nearby,
            baselines=np.stack([np.column_stack([located.past[now], ago]) for ago in season_ago], axis=1),
            plausible=plausible_range.observe(row, values, margin=self._range_margin),
        )

    def nothing(self, row: ArrayViews, count: int) -> ComponentResult:
        """Return the result for K events before the first known value."""
        ahead = np.full((count, len(self._horizons)), np.nan)
        return ComponentResult(
            residuals=ahead,
            spread=ahead,
            scale=ahead[:, 0],
            features=np.zeros((count, self.features)),
            linear=ahead,
            neighbours=ahead,
            baselines=np.stack([ahead, ahead], axis=-1),
            plausible=plausible_range.observe(row, ahead[:, 0], margin=self._range_margin),
        )

    def break_sequence(self, row: ArrayViews) -> None:
        """Begin a new sequence with the next value."""
        row["number_first"][:] = row["number_events"]
        row["number_asked"][...] = 0
        self._seasonal.break_sequence(row)
        if self._calendar:
            week_profile.break_sequence(row)

    def search(self, row: ArrayViews, others: NDArray[np.float32]) -> None:
        """Search the periods; if they have changed, recompute the phases of the past events.

        Args:
            row: The arrays of the stream, written to.
            others: The remembered deviations of the other components, float32 ``(N, M)``.
        """
        events = int(row["number_events"][0])
        latest = slice(-min(events, self._lookback), None)
        changed = self._seasonal.search(
            row,
            events,
            row["number_values"][latest],
            missing=row["number_missing"][latest],
            begins=row["number_begins"][latest],
            clock=row["number_clock"].T[latest],
            others=others[latest].astype(np.float64),
        )
        if changed and not self._calendar:
            steps = np.arange(events + latest.start, events)
            row["number_places"][:, latest] = season_phase.in_periods(steps, row["season_periods"])

    def _residuals(
        self,
        row: ArrayViews,
        values: NDArray[np.float64],
        predictions: NDArray[np.float64],
        spread: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the right network outputs at K values, ``(K, H)``, and keep the predictions and spreads after them."""
        pending = remember(row["number_asked"], np.stack([predictions, spread], axis=1).T)
        due = [
            column[:, self._horizons[-1] - h :][:, : len(values)]
            for column, h in zip(pending, self._horizons, strict=True)
        ]
        predicted, unit = np.stack(due, axis=-1)
        with np.errstate(all="ignore"):
            residuals = np.clip((values[:, None] - predicted) / unit, -ridge.MAX_TARGET, ridge.MAX_TARGET)
        return np.where(unit > 0, residuals, np.nan)
