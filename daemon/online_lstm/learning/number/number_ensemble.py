"""Experts and baselines for a stream of numbers: what the values some steps ahead will be, as of each event.

An event has D components, of which any may be missing. After each event they predict every component at each of H
horizons, and they learn from a value when it has come, not before: a component at a horizon is a channel, with experts
of its own. ``observe`` learns values; between it and ``stack`` the network learns what the linear experts leave over,
so that ``stack`` can weigh all experts. State is arrays of one row, by component first and by horizon then; what is
learned and predicted is the same however the values are split into calls.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm import events
from online_lstm.learning.number import fallback, intervals, stacking
from online_lstm.learning.number.component import Component
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, repeated_spec

__all__ = ["BASELINES", "EXPERTS", "NumberEnsemble", "Observed"]

EXPERTS, BASELINES = events.EXPERTS["number"], events.BASELINES["number"]
LARGEST = 1e300
MAX_OTHERS = 16
"""So many other components are looked at by the linear experts of each: the nearest ones in the vector."""


class Observed(NamedTuple):
    """What is known and predicted after each of K events; NaN for what was never seen.

    The network's prediction is to be that of the linear expert plus spread times the network's output, and the output
    that would have been right is known one horizon later, as ``residuals`` of that event.
    Features of each component are the value and what is usual at the targets, in spreads from the centre of all
    values; the deviation, and those of one short period before the targets; the linear predictions in spreads from the
    usual; sine and cosine of the places in the period and in the shorter one (in week and day, with a calendar); and,
    with a calendar, how far what is usual at the targets by the clock is from the usual, and the deviation by the
    clock.
    """

    values: NDArray[np.float64]  # (K, D): cut to ``LARGEST`` in size, NaN where missing
    residuals: NDArray[np.float64]  # (K, D, H): right output one horizon ago, cut to 8 in size; NaN where not known
    spread: NDArray[np.float64]  # (K, D, H): of what is usual at the target, in units of the values, above 0
    scale: NDArray[np.float64]  # (K, D): mean distance of the values from their centre, in their units, above 0
    features: NDArray[np.float32]  # (K, F): between -8 and 8, of one component after the other
    linear: NDArray[np.float64]  # (K, D, H): predictions
    neighbours: NDArray[np.float64]  # (K, D, H): predictions
    baselines: NDArray[np.float64]  # (K, D, H, 2): predictions of BASELINES

    def predictions(self, experts: Sequence[str], lstm: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Give what these experts predict, float64 ``(K, D, H, E)``; ``lstm`` is what the network does, if needed."""
        said: dict[str, Any] = {"lstm": lstm, "linear": self.linear, "neighbours": self.neighbours}
        return np.stack([said[name] for name in experts], axis=-1)


class NumberEnsemble:
    """The experts and baselines of numbers; what they learned is in the rows.

    Args:
        components: Numbers of an event, D.
        horizons: Steps from an event to the values that are predicted after it, ascending, at least 1.
        history: Values that are remembered, at least 256 and four times each lag and period. Periods and neighbours
            are looked for among them.
        periods: The period of the season in steps, and one within it; nothing if they are to be found.
        lags: Steps back from the target that the linear experts look at; nothing for the usual. At each horizon those
            count that are known by then.
        calendar: Whether to look at the clock: linear experts and network are told what is usual at a time of the
            week, and events are alike by time of the day and week, not by their places in the periods.
        experts: Which of ``EXPERTS`` are weighed, in the order of the weights. The network alone is not weighed: what
            it says is published as it is.
        coverage: Share of the values that intervals are to hold.
        interval_rate: How fast intervals change for that.
        learns: Else what was learned predicts, and stays as it is. What has come is looked back at in any case: last
            values, values a season ago, and what came after similar moments.
    """

    def __init__(
        self,
        *,
        components: int = 1,
        horizons: tuple[int, ...],
        history: int,
        periods: tuple[int, ...] = (),
        lags: tuple[int, ...] = (),
        calendar: bool = False,
        experts: tuple[str, ...] = EXPERTS,
        coverage: float = 0.9,
        interval_rate: float = 0.01,
        learns: bool = True,
    ) -> None:
        self._horizons = horizons
        self._experts = experts
        self._weighed = experts != ("lstm",)
        self._learns = learns
        self._coverage, self._interval_rate = coverage, interval_rate
        self._others = [_nearest(own, components) for own in range(components)]
        self._components = [
            Component(
                horizons=horizons,
                history=history,
                periods=periods,
                lags=lags,
                calendar=calendar,
                others=len(others),
                learns=learns,
            )
            for others in self._others
        ]
        self._names = tuple(self._components[0].fields())
        self._channel_names = tuple(self._channel_fields())

    @property
    def features(self) -> int:
        """How many features there are."""
        return sum(component.features for component in self._components)

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        fields = self._components[0].fields() | repeated_spec(self._channel_fields(), len(self._horizons))
        return repeated_spec(fields, len(self._components))

    def observe(self, row: ArrayViews, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]) -> Observed:
        """Learn K >= 1 values, and predict after each.

        Args:
            row: The arrays of the stream, written to.
            values: Finite, or NaN where missing, float64 ``(K, D)``.
            timestamps_ms: Since 1970, UTC, -1 where there is none, int64 ``(K,)``.
        """
        values = np.clip(values, -LARGEST, LARGEST)
        rows = [{name: row[name][place] for name in self._names} for place in range(len(self._components))]
        parts = []
        while len(values):
            lines = [np.ascontiguousarray(line) for line in values.T]
            cuts = zip(self._components, rows, lines, strict=True)
            count = min(component.until_cut(own, line) for component, own, line in cuts)
            parts.append(self._learn(rows, [line[:count] for line in lines], timestamps_ms[:count]))
            values, timestamps_ms = values[count:], timestamps_ms[count:]
        return Observed(*[np.concatenate(arrays) for arrays in zip(*parts, strict=True)])

    def stack(
        self, row: ArrayViews, observed: Observed, lstm: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Learn K observed values and weigh what the experts predict after each.

        Args:
            row: The arrays of the stream, written to.
            observed: What ``observe`` gave.
            lstm: The network's predictions, float64 ``(K, D, H)``, if it is among the experts.

        Returns:
            The predictions to publish, float64 ``(K, D, H)``, and the weights, ``(K, D, H, E)``, which sum to 1, or are
            0 where a baseline is published. Both are NaN for what was never seen.
        """
        if lstm is not None and not self._weighed:
            return lstm, np.ones((*lstm.shape, 1))
        # the first is what the others are compared with, so it should be one that is never far off
        order = sorted(self._experts, key=lambda name: name != "linear")
        places = [order.index(name) for name in self._experts]
        predictions = observed.predictions(order, lstm)
        published = np.full(predictions.shape[:3], np.nan)
        weights = np.full(predictions.shape, np.nan)
        for d, h, horizon in self._channels():
            first = _first_known(observed.linear[:, d, h])
            if first == len(published):
                continue
            own = {name: row[name][d, h] for name in self._channel_names}
            values = np.ascontiguousarray(observed.values[first:, d])
            if not self._learns:
                values = np.full(len(values), np.nan)
            spread = np.ascontiguousarray(observed.spread[first:, d, h])
            stacked, weighed = stacking.observe(own, values, predictions[first:, d, h], spread, horizon=horizon)
            candidates = np.column_stack([stacked, observed.baselines[first:, d, h]])
            chosen = fallback.observe(own, values, candidates, horizon=horizon)
            published[first:, d, h] = np.take_along_axis(candidates, chosen[:, None], axis=1)[:, 0]
            weights[first:, d, h] = np.where(chosen[:, None] > 0, 0, weighed[:, places])
        return published, weights

    def bound(
        self, row: ArrayViews, observed: Observed, published: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Learn from K observed values how far off what is published is, and bound it.

        Args:
            row: The arrays of the stream, written to.
            observed: What ``observe`` gave.
            published: What ``stack`` gave, float64 ``(K, D, H)``.

        Returns:
            Lower and upper bounds of what is published after each event, float64 ``(K, D, H, 2)``, NaN where there are
            none yet; and whether the value of an event was within the bounds that there were for it, 1 or 0, NaN where
            there were none, ``(K, D, H)``.
        """
        bounds, covered = np.empty((*published.shape, 2)), np.empty(published.shape)
        for d, h, horizon in self._channels():
            own = {name: row[name][d, h] for name in self._channel_names}
            bounds[:, d, h], covered[:, d, h] = intervals.observe(
                own,
                np.ascontiguousarray(observed.values[:, d]),
                np.ascontiguousarray(published[:, d, h]),
                horizon=horizon,
                coverage=self._coverage,
                rate=self._interval_rate,
                learns=self._learns,
            )
        return bounds, covered

    def break_sequence(self, row: ArrayViews) -> None:
        """Let the next value begin a sequence: none before it is looked back at, and no prediction waits for it.

        What was learned stays, and the season goes on as if the next value had followed.
        """
        for place, component in enumerate(self._components):
            component.break_sequence({name: row[name][place] for name in self._names})
        for part, used in ((stacking, self._weighed), (fallback, self._weighed), (intervals, True)):
            if used:
                part.break_sequence(row)

    def _channels(self) -> list[tuple[int, int, int]]:
        """Give component, place among the horizons, and horizon of each."""
        return [(d, h, horizon) for d in range(len(self._components)) for h, horizon in enumerate(self._horizons)]

    def _channel_fields(self) -> dict[str, ArraySpec]:
        pending = self._horizons[-1]
        weights = stacking.fields(len(self._experts), pending) | fallback.fields(1 + len(BASELINES), pending)
        return intervals.fields(pending) | (weights if self._weighed else {})

    def _learn(
        self, rows: Sequence[ArrayViews], values: Sequence[NDArray[np.float64]], timestamps_ms: NDArray[np.int64]
    ) -> Observed:
        """Learn values until the next cut of a component at most."""
        count = len(timestamps_ms)
        placed = [
            component.place(row, line, timestamps_ms)
            for component, row, line in zip(self._components, rows, values, strict=True)
        ]
        deviations = np.zeros((len(placed), count))
        for line, one in zip(deviations, placed, strict=True):
            line[:] = 0 if one is None else one.scaled.profile.deviations
        learned = [
            component.nothing(count) if one is None else component.predict(row, one, deviations[others].T)
            for component, row, one, others in zip(self._components, rows, placed, self._others, strict=True)
        ]
        for component, row, one, others in zip(self._components, rows, placed, self._others, strict=True):
            if one is not None and one.searches:
                past = [rows[other]["season_deviations"] for other in others]
                component.search(row, np.array(past, np.float32).reshape(len(others), len(row["season_deviations"])))
        of_channels = [
            np.moveaxis(np.stack([getattr(one, name) for one in learned]), -1, 0)
            for name in ("residuals", "spread", "linear", "neighbours")
        ]
        residuals, spread, linear, neighbours = of_channels
        return Observed(
            values=np.stack(values, axis=1),
            residuals=residuals,
            spread=spread,
            scale=np.stack([one.scale for one in learned], axis=1),
            features=np.concatenate([one.features for one in learned], axis=1).astype(np.float32),
            linear=linear,
            neighbours=neighbours,
            baselines=np.stack([one.baselines for one in learned]).transpose(3, 0, 2, 1),
        )


def _nearest(own: int, components: int) -> list[int]:
    """Give the ``MAX_OTHERS`` components next to one, in their order."""
    around = range(max(0, own - MAX_OTHERS), min(components, own + MAX_OTHERS + 1))
    return sorted(sorted(around, key=lambda other: abs(other - own))[1 : 1 + MAX_OTHERS])


def _first_known(line: NDArray[np.float64]) -> int:
    """Say where the first number is; what is not known only comes before it."""
    return int(np.isnan(line).sum())
