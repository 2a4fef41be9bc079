"""The learner of a stream of numbers: experts that learn at once, a network for what they leave over, and their mean.

The linear expert says first what comes ``horizon`` events on; the network learns by how much the value will differ
from that, in spreads of the stream. All arrive at their targets ``horizon`` events later.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daemon import scores
from daemon.learners.rows import NetworkRows, score
from daemon.network import Past, Regression
from daemon.network.regression import RegressionRun
from daemon.network.shape import MARKS
from daemon.records import Event, NumberPrediction, NumberVerdict, Outcome
from daemon.rows import Field, Row, Rows
from daemon.settings import Settings
from daemon.tasks.number import MOST_ERROR, NumberTask
from daemon.vocabulary import Vocabulary

if TYPE_CHECKING:  # it loads numba
    from daemon.experts.numbers import NumberPanel, Observed


def panel_of(settings: Settings) -> "NumberPanel":
    """Give the experts that the settings ask for."""
    from daemon.experts.numbers import NumberPanel  # noqa: PLC0415 - loads numba

    return NumberPanel(
        horizon=settings.horizon,
        history=settings.history,
        periods=settings.periods[::-1],
        lags=settings.lags,
        calendar=settings.calendar,
        experts=settings.experts,
    )


class NumberLearner:
    """One stream's view on its rows."""

    symbols = 0

    @staticmethod
    def stream_fields(settings: Settings) -> dict[str, Field]:
        """Describe the arrays of one stream.

        ``lines`` are the network's; ``pending`` is what everybody predicted after each of the last ``horizon`` events,
        and the scale of the values then.
        """
        panel = panel_of(settings)
        predictors = settings.first_expert + len(settings.experts)
        return {
            "events": Field((1,), "int64"),
            "lines": Field((settings.window + settings.horizon - 1, panel.features + MARKS), "float32"),
            "pending": Field((settings.horizon, predictors + 1), "float64", np.nan),
            **panel.fields(),
            **scores.fields(settings.score_window, predictors=predictors, losses=predictors + 1),
        }

    @staticmethod
    def network_fields(network: Regression, classes: int) -> dict[str, Field]:  # noqa: ARG004 - as of other tasks
        """Describe the arrays of one stream's network."""
        windows, states = network.kept_windows()
        return {
            "network": Field((network.state_size,), "float32"),
            "replay_lines": Field(windows, "float32"),
            "replay_states": Field(states, "float32"),
        }

    def __init__(self, settings: Settings, network: Regression, *, streams: Rows, networks: NetworkRows) -> None:
        self._network = network
        self._streams = streams
        self._panel = panel_of(settings)
        self._experts = settings.experts
        self._first_expert = settings.first_expert
        self.task = NumberTask(settings)
        self.classes = network.features
        self._network_rows = networks[self.classes]
        self.row = streams.add()
        self.network_row = self._network_rows.add()
        self._network_rows.view(self.network_row)["network"][:] = network.initial

    def close(self) -> None:
        """Give the rows back."""
        self._streams.remove(self.row)
        self._network_rows.remove(self.network_row)

    def vocabulary(self) -> dict[str, Any]:
        """Give the vocabulary of numbers: none."""
        return Vocabulary(max_codes=1, admit_after=1).state()

    def resume(self, classes: int, vocabulary: dict[str, Any]) -> None:
        """Take over what is restored beside the arrays: nothing."""

    def recall(self) -> None:
        """Read what is pending from the restored arrays: it stays there."""

    def break_sequence(self) -> None:
        """Let the next event begin a sequence: nothing is predicted for it, and nothing of before leads up to it."""
        stream = self._streams.view(self.row)
        stream["lines"][:], stream["pending"][:] = 0, np.nan
        self._panel.break_sequence(stream)
        self._network.reset_states(self._network_rows.view(self.network_row)["network"])

    def learn(self, events: Sequence[Event]) -> list[Outcome]:
        """Score, fit and predict, one event after another."""
        outcomes: list[Outcome] = []
        first = 0
        for place, event in enumerate(events, 1):
            if event.ends or place - first == self._network.events:
                outcomes += self._learn_run(events[first:place])
                first = place
        return outcomes + self._learn_run(events[first:])

    def _learn_run(self, run: Sequence[Event]) -> list[Outcome]:
        """Learn up to ``network.events`` events in one call of the network."""
        if not run:
            return []
        count, stream = len(run), self._streams.view(self.row)
        values, times = self.task.values(run)
        observed = self._panel.observe(stream, values, times)
        lines = self._lines(stream, observed)
        result = self._fit(stream, lines)
        lstm = observed.linear + observed.spread * result.outputs[1:].astype(np.float64)
        experts = observed.predictions(self._experts, lstm)
        published, weights = self._panel.stack(stream, observed, lstm)
        made = np.column_stack([published, observed.baselines, experts, observed.scale])
        pending = np.concatenate([stream["pending"], made])
        verdicts, hits, rates = self._judge(stream, values, pending[:count])
        predictions: list[NumberPrediction | None] = [*self.task.predictions(published, experts, weights)]
        first = int(stream["events"][0]) + 1
        stream["events"][0] += count
        stream["lines"][:] = lines[count:]
        stream["pending"][:] = pending[count:]
        if run[-1].ends:
            predictions[-1] = None  # of a sequence that is over
            self.break_sequence()
        steps = zip(result.fit_steps.tolist(), result.skipped_steps.tolist(), strict=True)
        return [
            Outcome(first + i, fitted, skipped, verdicts[i], predictions[i], hits[i], rates[i])
            for i, (fitted, skipped) in enumerate(steps)
        ]

    def _lines(self, stream: Row, observed: "Observed") -> NDArray[np.float32]:
        """Put a line of each event to those before, and the targets that arrive into the lines they belong to."""
        count, width = observed.features.shape
        new = np.zeros((count, width + MARKS), np.float32)
        new[:, :width], new[:, width] = observed.features, 1
        lines = np.concatenate([stream["lines"], new])
        known = np.isfinite(observed.residuals)
        arriving = lines[len(stream["lines"]) - self._network.horizon :][:count]
        arriving[:, width + 1] = np.where(known, observed.residuals, 0)
        arriving[:, width + 2] = known
        return lines

    def _fit(self, stream: Row, lines: NDArray[np.float32]) -> RegressionRun:
        """Let the network learn from the lines, and keep some of them to learn from again."""
        network = self._network_rows.view(self.network_row)
        past = Past(int(stream["events"][0]), network["replay_lines"], network["replay_states"], self._network.stride)
        result = self._network.run(network["network"], lines, past)
        network["network"][:] = result.state
        window = network["replay_lines"].shape[1]
        windows = np.lib.stride_tricks.sliding_window_view(lines, window, axis=0)[: len(result.edges)]
        past.keep(windows.transpose(0, 2, 1), result.edges)
        return result

    def _judge(
        self, stream: Row, values: NDArray[np.float64], pending: NDArray[np.float64]
    ) -> tuple[list[NumberVerdict | None], list[tuple[bool, ...] | None], list[tuple[float, ...] | None]]:
        """Score what had been predicted of K values, if anything had; give verdicts, hits and hit rates of each."""
        scored = np.isfinite(pending[:, 0])
        with np.errstate(over="ignore", invalid="ignore"):
            errors = values[:, None] - pending[:, :-1]
        absolute = self.task.absolute_errors(errors)
        hits = self.task.hits(absolute, pending[:, -1])
        losses = np.column_stack([absolute, np.minimum(np.abs(values), MOST_ERROR)])
        means = scores.mean_losses(stream, losses[scored], first=self._first_expert)
        verdicts = self.task.verdicts(scored, pending[:, 0], errors[:, 0], hits[:, 0], (losses, means))
        return verdicts, *score(stream, scored, hits, losses)
