"""The network of numbers: what it learns, and that no call and no future shows in it."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.network import LearningSettings, ModelShape, NumberModel, ReplayBuffer

pytestmark = pytest.mark.long

FEATURES, WINDOW = 2, 8
LEARNING = LearningSettings(
    learning_rate=0.02,
    beta_1=0.9,
    beta_2=0.99,
    epsilon=1e-4,
    clip_norm=1.0,
    lr_gate_loss=0.0,
    retry_steps=0,
    retry_budget=0.0,
    retry_refill=0.0,
)
HORIZONS = (1, 3)


@cache
def network_of(
    horizon: int, *, replay_buffer_size: int = 0, states: bool = True, layers: tuple[str, ...] = ("lstm 4",)
) -> NumberModel:
    shape = ModelShape(layers=layers, window=WINDOW, stateful=states, seed=0, replay_buffer_size=replay_buffer_size)
    return NumberModel(shape, LEARNING, features=FEATURES, horizons=(horizon,))


def stream_of(count: int, horizon: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give features, and as targets half of the product of the two latest values: nothing linear."""
    values = np.random.default_rng(5).uniform(-1, 1, count).astype(np.float32)
    features = np.column_stack([values, np.concatenate([[0], values[:-1]])])
    return features, features[:, 0] * features[:, 1] / 2


class Bench:
    """A stream's arrays, and what came of it so far."""

    def __init__(self, network: NumberModel) -> None:
        self.network = network
        self.state = network.initial()
        windows, states = network.kept_windows()
        self.past = ReplayBuffer(0, np.zeros(windows, np.float32), np.zeros(states, np.float32), network.stride)
        self.lines = np.zeros((network.steps, network.width), np.float32)
        self.outputs: list[float] = []
        self.steps = 0

    def learn(self, features: NDArray[np.float32], targets: NDArray[np.float32], calls: int) -> "Bench":
        """Learn events, so many a call; the target of a line is told ``horizon`` events later."""
        known = np.full(self.network.horizons[0], np.nan, np.float32)
        arriving = np.concatenate([known, targets])[: len(targets)]
        for first in range(0, len(features), calls):
            here = slice(first, first + calls)
            new = np.zeros((len(features[here]), self.network.width), np.float32)
            new[:, :FEATURES], new[:, FEATURES] = features[here], 1
            lines = np.concatenate([self.lines, new])
            place = len(self.lines) - self.network.horizons[0]
            told = lines[place : place + len(new)]
            told[:, FEATURES + 1] = np.nan_to_num(arriving[here])
            told[:, FEATURES + 2] = np.isfinite(arriving[here])
            run = self.network.run(self.state, lines, self.past)
            windows = np.stack([lines[k : k + WINDOW] for k in range(len(new))])
            self.past.keep(windows, run.edges)
            self.past = ReplayBuffer(self.past.events + len(new), self.past.windows, self.past.states, self.past.stride)
            self.state, self.lines = run.state, lines[len(new) :]
            self.outputs += run.outputs[1:, 0].tolist()
            self.steps += int(run.fit_steps.sum())
        return self


@pytest.mark.parametrize("replay_buffer_size", [0, 40, 512])
@pytest.mark.parametrize("horizon", HORIZONS)
def test_calls_of_any_length_give_the_same_bits(horizon: int, replay_buffer_size: int) -> None:
    """State, outputs and what is kept do not show how the events were handed over."""
    stream = stream_of(300, horizon)
    benches = [Bench(network_of(horizon, replay_buffer_size=replay_buffer_size)).learn(*stream, n) for n in (64, 7, 1)]
    for other in benches[1:]:
        assert benches[0].outputs == other.outputs
        assert benches[0].state.tobytes() == other.state.tobytes()
        assert benches[0].past.windows.tobytes() == other.past.windows.tobytes()
        assert benches[0].past.states.tobytes() == other.past.states.tobytes()


MIXED = ("dense 6 relu", "gru 5", "layer_norm", "dropout 0.2", "lstm 4", "leaky_relu 0.1", "dropout 0.1")


@pytest.mark.parametrize("replay_buffer_size", [0, 40])
def test_calls_of_any_length_drop_the_same(replay_buffer_size: int) -> None:
    """What is dropped is a matter of the event's number, with any layers."""
    network, stream = network_of(3, replay_buffer_size=replay_buffer_size, layers=MIXED), stream_of(200, 3)
    benches = [Bench(network).learn(*stream, n) for n in (64, 7, 1)]
    for other in benches[1:]:
        assert benches[0].outputs == other.outputs
        assert benches[0].state.tobytes() == other.state.tobytes()


def test_outputs_drop_nothing() -> None:
    """Whatever the number of the event, the same state and lines give the same output, and another step."""
    network = network_of(1, layers=MIXED)
    bench = Bench(network).learn(*stream_of(60, 1), 64)
    lines = np.concatenate([bench.lines, bench.lines[-1:]])
    lines[-2, FEATURES + 2] = 1
    runs = [network.run(bench.state, lines, replace(bench.past, events=events)) for events in (60, 61, 2**40)]
    assert 1 == len({run.outputs[:1].tobytes() for run in runs})
    assert 3 == len({run.state.tobytes() for run in runs})


@pytest.mark.parametrize("horizon", HORIZONS)
def test_what_is_not_linear_is_learned(horizon: int) -> None:
    """The error of the last outputs is a fraction of that of saying nothing."""
    features, targets = stream_of(6000, horizon)
    bench = Bench(network_of(horizon)).learn(features, targets, 64)
    errors = np.abs(np.array(bench.outputs) - targets)[-1000:]
    assert errors.mean() < 0.35 * np.abs(targets[-1000:]).mean()


@pytest.mark.parametrize("horizon", HORIZONS)
def test_each_target_is_fitted_once_when_it_has_come(horizon: int) -> None:
    """There is one step an event, from the first target on."""
    assert 200 - horizon == Bench(network_of(horizon)).learn(*stream_of(200, horizon), 64).steps


@pytest.mark.parametrize("horizon", HORIZONS)
def test_no_later_feature_and_no_later_target_shows(horizon: int) -> None:
    """With other features and targets from an event on, all outputs before it are the same, and its own is not."""
    features, targets = stream_of(200, horizon)
    other_features, other_targets = features.copy(), targets.copy()
    other_features[100:] += 1
    other_targets[100 - horizon :] += 1  # they are told from event 100 on
    outputs = Bench(network_of(horizon)).learn(features, targets, 64).outputs
    others = Bench(network_of(horizon)).learn(other_features, other_targets, 64).outputs
    assert outputs[:100] == others[:100]
    assert outputs[100] != others[100]


def test_what_is_replayed_is_learned_again() -> None:
    """With other targets in the kept windows the outputs to come are others."""
    network = network_of(1, replay_buffer_size=512)
    features, targets = stream_of(400, 1)
    bench, other = (Bench(network).learn(features[:300], targets[:300], 64) for _ in range(2))
    other.past.windows[:, :, FEATURES + 1] += 1
    assert (
        bench.learn(features[300:], targets[300:], 64).outputs[300:]
        != other.learn(features[300:], targets[300:], 64).outputs[300:]
    )


def test_what_is_not_finite_is_not_learned() -> None:
    """A target beyond all bounds leaves the weights as they are, and the next ones are learned."""
    network = network_of(1)
    features, targets = stream_of(100, 1)
    targets[50] = np.finfo(np.float32).max
    features[60] = np.finfo(np.float32).max
    bench = Bench(network).learn(features, targets, 64)
    assert np.isfinite(bench.state).all()


AHEAD = (1, 3, 2)
"""Horizons of three outputs, which come in any order."""


def mixed_run(features: NDArray[np.float32], targets: NDArray[np.float32], calls: int) -> tuple[NDArray[Any], Any, int]:
    """Learn a target for each horizon, NaN where it never arrives; give outputs, state and fit steps."""
    network = NumberModel(
        ModelShape(layers=("lstm 4",), window=WINDOW, stateful=True, seed=0, replay_buffer_size=40),
        LEARNING,
        features=3,
        horizons=AHEAD,
    )
    state, lines, outputs, steps = network.initial(), np.zeros((network.steps, network.width), np.float32), [], 0
    windows, states = network.kept_windows()
    past = ReplayBuffer(0, np.zeros(windows, np.float32), np.zeros(states, np.float32), network.stride)
    for first in range(0, len(features), calls):
        here = features[first : first + calls]
        new = np.zeros((len(here), network.width), np.float32)
        new[:, :3], new[:, 3] = here, 1
        line = np.concatenate([lines, new])
        for place, horizon in enumerate(AHEAD):
            told = line[len(lines) - horizon :][: len(new)]
            arriving = np.concatenate([np.full(horizon, np.nan), targets[:, place]])[first : first + len(new)]
            told[:, 4 + place], told[:, 7 + place] = np.nan_to_num(arriving), np.isfinite(arriving)
        run = network.run(state, line, past)
        past.keep(np.stack([line[k : k + WINDOW] for k in range(len(new))]), run.edges)
        past = ReplayBuffer(past.events + len(new), past.windows, past.states, past.stride)
        state, lines, steps = run.state, line[len(new) :], steps + int(run.fit_steps.sum())
        outputs.append(run.outputs[1:])
    return np.concatenate(outputs), state, steps


def mixed_stream(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(6)
    features = random.uniform(-1, 1, (count, 3)).astype(np.float32)
    targets = np.stack([features[:, 0] * features[:, 1], features[:, 1] / 2, -features[:, 2]], axis=1)
    targets[random.random(targets.shape) < 0.1] = np.nan
    return features, targets


def test_outputs_of_several_horizons_are_learned() -> None:
    """Each at its own horizon, though some never do; calls of any length give the same bits."""
    features, targets = mixed_stream(3000)
    outputs, state, steps = mixed_run(features, targets, 64)
    errors = np.nanmean(np.abs(outputs - targets)[2000:], axis=0)
    assert (errors < 0.45 * np.nanmean(np.abs(targets), axis=0)).all()
    arrives = [np.concatenate([np.full(h, np.nan), targets[:-h, place]]) for place, h in enumerate(AHEAD)]
    assert steps == np.isfinite(arrives).any(axis=0).sum()
    for calls in (7, 1):
        others, other_state, _ = mixed_run(features[:300], targets[:300], calls)
        assert others.tobytes() == outputs[:300].tobytes()
        assert other_state.tobytes() == mixed_run(features[:300], targets[:300], 64)[1].tobytes()
    assert np.isfinite(state).all()


def test_no_later_target_of_any_horizon_shows() -> None:
    """Those that arrive from an event on change nothing before it, though they stand in the lines of the same call."""
    features, targets = mixed_stream(200)
    outputs, *_ = mixed_run(features, targets, 64)
    for event in (100, 128):
        for place, horizon in enumerate(AHEAD):
            changed = targets.copy()
            changed[event - horizon :, place] = 1 + np.nan_to_num(changed[event - horizon :, place])
            others, *_ = mixed_run(features, changed, 64)
            assert outputs[:event].tobytes() == others[:event].tobytes()
            assert outputs[event].tobytes() != others[event].tobytes()


def test_a_masked_target_moves_no_weight() -> None:
    """Whatever stands where a target would: with its mark at 0 the state is the same."""
    features, targets = mixed_stream(100)
    targets[40:60] = np.nan
    network = network_of(1)
    lines = np.zeros((network.steps + 40, network.width), np.float32)
    lines[:, :FEATURES] = features[: len(lines), :FEATURES]
    lines[:, FEATURES] = 1
    past = ReplayBuffer(0, np.zeros((0, 1)), np.zeros((0, 1), np.float32), network.stride)
    told = [
        np.nan_to_num(targets[: len(lines), 0]),
        np.where(np.isnan(targets[: len(lines), 0]), 99, targets[: len(lines), 0]),
    ]
    states = []
    for column in told:
        lines[:, FEATURES + 1], lines[:, FEATURES + 2] = column, np.isfinite(targets[: len(lines), 0])
        states.append(network.run(network.initial(), lines, past).state.tobytes())
    assert states[0] == states[1]


BLANK, FIRST, SECOND = np.array([[0, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]], np.float32)
"""No line, and those of the two steps: input 1, there, target 0 or 1, known."""


def outputs_of(*, window: int, stateful: bool, passes: int = 1500) -> tuple[float, float]:
    """Learn the sequence of two steps so often, and say what comes out at each of them."""
    shape = ModelShape(layers=("lstm 20",), window=window, stateful=stateful, seed=0)
    network = NumberModel(shape, replace(LEARNING, learning_rate=0.003), features=1, horizons=(1,))
    state, outputs = network.initial(), [0.0, 0.0]
    windows, states = network.kept_windows()
    past = ReplayBuffer(0, np.zeros(windows, np.float32), np.zeros(states, np.float32), network.stride)
    for _ in range(passes):
        if window == 2:
            state = network.run(state, np.stack([FIRST, SECOND, BLANK]), past).state
            continue
        for place, step in enumerate((FIRST, SECOND)):
            run = network.run(state, np.stack([step, BLANK]), past)
            outputs[place], state = float(run.outputs[0, 0]), run.state
        network.reset_states(state)
    if window == 2:
        seen = (np.stack([BLANK, FIRST]), np.stack([FIRST, SECOND]))
        outputs = [float(network.run(state, lines, past).outputs[0, 0]) for lines in seen]
    return outputs[0], outputs[1]


@pytest.mark.parametrize(("window", "stateful"), [(2, False), (1, True)])
def test_the_same_input_has_another_output_by_its_position(window: int, stateful: bool) -> None:
    """Inputs 1, 1 and targets 0, 1: learned to 1 % as one sequence, or step by step with states that are stateful."""
    assert (0, 1) == pytest.approx(outputs_of(window=window, stateful=stateful), abs=0.01)


def test_stateless_step_cannot_know_its_position() -> None:
    """The same input then has the same output, half way between the targets."""
    first, second = outputs_of(window=1, stateful=False)
    assert 0.3 < first < 0.7
    assert first == pytest.approx(second, abs=0.05)
