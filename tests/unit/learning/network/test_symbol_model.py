"""The compiled network; one program serves most tests, because compiling takes a second or two."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from online_lstm.learning.network import LearningSettings, ModelShape, ReplayBuffer, SymbolModel, SymbolRun
from online_lstm.learning.network.layout import Layout

pytestmark = pytest.mark.long

WINDOW = 16
SHAPE = ModelShape(("lstm 6", "lstm 4"), window=WINDOW, stateful=True, seed=1, replay_buffer_size=70)
LEARNING = LearningSettings(
    learning_rate=1e-2,
    beta_1=0.9,
    beta_2=0.99,
    epsilon=1e-3,
    clip_norm=1.0,
    lr_gate_loss=0.05,
    retry_steps=7,
    retry_budget=100,
    retry_refill=0.25,
    replay_dropout=0.2,
)
CODES = np.random.default_rng(0).integers(0, 4, 200, np.int32)


@pytest.fixture(scope="module")
def network() -> SymbolModel:
    return SymbolModel(SHAPE, LEARNING)


def learn(
    network: SymbolModel,
    codes: np.ndarray,
    events_a_call: int,
    *,
    known: int = 4,
    window: int = WINDOW,
    past: ReplayBuffer | None = None,
) -> SymbolRun:
    """Take a stream from its first event on, in calls of this many events; ``past`` takes what is kept of it."""
    padded = np.concatenate([np.full(window, -1, np.int32), codes])
    state, runs, past = network.initial(4), [], past or network.no_past()
    for start in range(0, len(codes), events_a_call):
        count = min(events_a_call, len(codes) - start)
        before = padded[start : start + window + count]
        runs.append(network.run(state, before, np.full(count + 1, known, np.int32), past))
        past.keep(runs[-1].windows, runs[-1].edges)
        state, past = runs[-1].state, replace(past, events=past.events + count)
    return SymbolRun(
        state=state,
        probabilities=np.concatenate([run.probabilities[:-1] for run in runs] + [runs[-1].probabilities[-1:]]),
        fit_steps=np.concatenate([run.fit_steps for run in runs]),
        skipped_steps=np.concatenate([run.skipped_steps for run in runs]),
        losses=np.concatenate([run.losses for run in runs]),
        windows=np.concatenate([run.windows for run in runs]),
        edges=np.concatenate([run.edges for run in runs]),
    )


def digest(run: SymbolRun) -> str:
    parts = (run.state, run.probabilities, run.fit_steps, run.losses, run.windows, run.edges)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_networks_share_programs() -> None:
    """Networks that differ in the seed only have one program of each capacity; another learning rate has its own."""
    network, other = (SymbolModel(replace(SHAPE, seed=seed), LEARNING) for seed in (1, 2))
    quicker = SymbolModel(SHAPE, replace(LEARNING, learning_rate=0.1))
    layout = network._layout(4)
    assert network._program(layout) is other._program(layout)
    assert network._program(layout) is not quicker._program(layout)


def test_bits_do_not_depend_on_how_many_events_a_call_carries(network: SymbolModel) -> None:
    """All that comes of calls of 1, 7 or 64 events is the same, also with extra steps, and so is what is kept."""
    pasts = [network.no_past() for _ in range(3)]
    whole = learn(network, CODES, 64, past=pasts[0])
    assert {0, 1, 8} <= set(whole.fit_steps.tolist())
    assert digest(whole) == digest(learn(network, CODES, 7, past=pasts[1]))
    assert digest(whole) == digest(learn(network, CODES, 1, past=pasts[2]))
    assert pasts[0].windows.tolist() == pasts[1].windows.tolist() == pasts[2].windows.tolist()
    assert pasts[0].states.tolist() == pasts[1].states.tolist() == pasts[2].states.tolist()
    assert (pasts[0].windows >= 0).any()


@pytest.fixture(scope="module", params=[0, 70])
def mixed(request: pytest.FixtureRequest) -> SymbolModel:
    """A network with every kind of layer, without and with replay."""
    layers = ("dense 5 tanh", "gru 6", "layer_norm", "dropout 0.3", "lstm 4", "leaky_relu", "dropout 0.2")
    return SymbolModel(
        ModelShape(layers, window=WINDOW, stateful=True, seed=1, replay_buffer_size=request.param), LEARNING
    )


def test_dropout_bits_independent_of_calls(mixed: SymbolModel) -> None:
    """What is dropped is a matter of the event's number, also in its extra steps."""
    whole = learn(mixed, CODES, 64)
    assert {1, 8} <= set(whole.fit_steps.tolist())
    assert digest(whole) == digest(learn(mixed, CODES, 7)) == digest(learn(mixed, CODES, 1))


def test_a_prediction_drops_nothing(mixed: SymbolModel) -> None:
    """Whatever the number of the event, the same state and window give the same prediction, and another step."""
    state = learn(mixed, CODES[:100], 50).state
    known = np.array([4, 4], np.int32)
    runs = [
        mixed.run(state, CODES[100 - WINDOW : 101], known, replace(mixed.no_past(), events=events))
        for events in (100, 101, 2**40)
    ]
    assert runs[0].probabilities[0].tolist() == runs[1].probabilities[0].tolist() == runs[2].probabilities[0].tolist()
    assert 3 == len({run.state.tobytes() for run in runs})
    assert 3 == len({run.losses.tobytes() for run in runs})


def test_only_what_is_learned_again_is_dropped(network: SymbolModel) -> None:
    """Up to the first window that is replayed every bit is as without; then others are learned."""
    plain = SymbolModel(SHAPE, replace(LEARNING, replay_dropout=0.0))
    dropped, whole = learn(network, CODES, 64), learn(plain, CODES, 64)
    differs = (dropped.probabilities != whole.probabilities).any(axis=1)
    assert not differs[:2].any()
    assert differs[-100:].all()
    assert dropped.losses[0] == whole.losses[0]


def test_classes_come_and_go_below_any_first_layer(mixed: SymbolModel) -> None:
    """After growing, the same codes get the same probabilities, and learning goes on with more of them."""
    before = learn(mixed, CODES, 64)
    grown = mixed.grow(before.state, 8)
    mixed.forget_class(grown, 3)
    known = np.array([4, 6], np.int32)
    past = replace(mixed.no_past(), events=200)
    without = CODES[-WINDOW:] % 3
    expected = mixed.run(before.state, without, np.array([3], np.int32), past)
    assert np.allclose(
        expected.probabilities[0, :3],
        mixed.run(grown, without, np.array([3], np.int32), past).probabilities[0, :3],
        rtol=0,
        atol=1e-6,
    )
    after = mixed.run(grown, np.append(CODES[-WINDOW:], np.int32(5)), known, past)
    assert after.fit_steps.all()
    assert [4, 6] == (after.probabilities > 0).sum(axis=1).tolist()


def test_what_is_replayed_is_learned_again(network: SymbolModel) -> None:
    """With other codes in the kept windows the next weights are others; the prediction before is the same."""
    past = network.no_past()
    state = learn(network, CODES[:100], 50, past=past).state
    other = ReplayBuffer(past.events, (past.windows + 1) % 4, past.states)
    known = np.array([4, 4], np.int32)
    runs = [network.run(state, CODES[100 - WINDOW : 101], known, replace(kept, events=100)) for kept in (past, other)]
    assert np.array_equal(runs[0].probabilities[0], runs[1].probabilities[0])
    assert runs[0].losses.tolist() == runs[1].losses.tolist()
    assert not np.array_equal(runs[0].state, runs[1].state)


def test_a_run_says_what_each_event_was_fitted_on(network: SymbolModel) -> None:
    """Its window with itself as last target, and the left-edge states that were found."""
    run = learn(network, CODES[:40], 40)
    assert CODES[20 - WINDOW : 21].tolist() == run.windows[20].tolist()
    assert not run.edges[: WINDOW + 1].any()
    assert run.edges[WINDOW + 1].any()
    again = learn(network, CODES[:30], 30)
    assert again.state[-20:].tolist() == run.edges[30].tolist()


def test_bits_do_not_depend_on_the_process(network: SymbolModel) -> None:
    """Another process, which compiles for itself, comes to the same state and the same predictions."""
    program = "import test_symbol_model as t; print(t.digest(t.learn(t.SymbolModel(t.SHAPE, t.LEARNING), t.CODES, 50)))"
    environment = {name: content for name, content in os.environ.items() if name != "TF_XLA_FLAGS"}
    other = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=__file__.rpartition("/")[0],
        env=environment,
    )
    assert digest(learn(network, CODES, 64)) == other.stdout.strip()


def test_a_call_without_events_only_predicts(network: SymbolModel) -> None:
    """The pending prediction is made, the state is as before, and nothing is reported."""
    before = learn(network, CODES[:40], 20)
    pending = network.run(before.state, CODES[40 - WINDOW : 40], np.array([4], np.int32), network.no_past())
    assert np.array_equal(before.state, pending.state)
    assert np.array_equal(before.probabilities[-1:], pending.probabilities)
    assert (0, 0) == (len(pending.fit_steps), len(pending.losses))


def test_a_call_leaves_the_given_state_as_it_is(network: SymbolModel) -> None:
    """The state belongs to the caller."""
    state = network.initial(4)
    network.run(state, CODES[: WINDOW + 3], np.full(4, 4, np.int32), network.no_past())
    assert np.array_equal(network.initial(4), state)


def test_a_code_becomes_possible_when_it_is_known(network: SymbolModel) -> None:
    """Row k is over ``known[k]`` codes, the fit on event k over ``known[k + 1]``."""
    codes = np.array([-1] * (WINDOW - 2) + [1, 1, 2, 3], np.int32)
    run = network.run(network.initial(4), codes, np.array([2, 3, 4], np.int32), network.no_past())
    assert [2, 3, 4] == (run.probabilities > 0).sum(axis=1).tolist()
    assert run.fit_steps.all()
    assert (run.losses < 5).all()


def test_more_classes_leave_the_others_as_they_were(network: SymbolModel) -> None:
    """After growing, the same codes get the same probabilities, and learning goes on."""
    before = learn(network, CODES, 64)
    grown = network.grow(before.state, 8)
    assert (network.state_size(8),) == grown.shape
    known = np.array([4, 6], np.int32)
    after = network.run(grown, np.append(CODES[-WINDOW:], np.int32(5)), known, network.no_past())
    assert np.allclose(before.probabilities[-1], after.probabilities[0, :4], rtol=0, atol=1e-6)
    assert after.fit_steps.all()
    assert [4, 6] == (after.probabilities > 0).sum(axis=1).tolist()


def test_a_forgotten_class_starts_again(network: SymbolModel) -> None:
    """Its weights are the initial ones and its moments zero; the other classes keep theirs."""
    layout = Layout(SHAPE.stack, 4)
    learned = learn(network, CODES, 64).state
    state = learned.copy()
    network.forget_class(state, 2)
    by_class = layout.learned(state)[1]
    assert np.array_equal(layout.learned(network.initial(4))[1][:, 2], by_class[:, 2])
    assert np.array_equal(layout.learned(learned)[1][:, [0, 1, 3]], by_class[:, [0, 1, 3]])


def test_a_break_resets_the_states_and_nothing_else(network: SymbolModel) -> None:
    """Weights, moments and step count survive a break."""
    learned = learn(network, CODES, 64).state
    state = learned.copy()
    network.reset_states(state)
    assert not state[-20:].any()
    assert np.array_equal(learned[:-20], state[:-20])


def test_skipped_steps_are_reported_event_by_event(network: SymbolModel) -> None:
    """With spoiled moments no step is applied, and weights, moments and count stay."""
    state = network.initial(4)
    state[Layout(SHAPE.stack, 4).sizes[0]] = np.nan
    run = network.run(state, CODES[: WINDOW + 3], np.full(4, 4, np.int32), network.no_past())
    assert [0, 0, 0] == run.fit_steps.tolist()
    assert run.skipped_steps.all()
    assert np.array_equal(state[:-21], run.state[:-21], equal_nan=True)
    assert run.state[-20:].any()


def test_a_periodic_stream_is_learned() -> None:
    """Three symbols in a period of 27: of the first 500 hardly any after 30 is missed, and none from 700 on."""
    shape = ModelShape(("lstm 48",), window=64, stateful=True, seed=0, replay_buffer_size=1500)
    network = SymbolModel(shape, replace(LEARNING, learning_rate=7e-3))
    period = [1] * 6 + [2] + [1] * 5 + [2] + [1] * 6 + [2] + [1] * 6 + [3]
    codes = np.tile(np.array(period, np.int32), 52)
    run = learn(network, codes, 64, window=64)
    hits = run.probabilities[:-1].argmax(axis=1) == codes
    assert hits[:500].mean() > 0.94
    assert hits[700:].all()


@pytest.mark.parametrize("layers", [("gru 32",), ("dense 16 tanh", "gru 24", "dropout 0.1", "layer_norm")])
def test_a_periodic_stream_is_learned_by_other_layers_too(layers: tuple[str, ...]) -> None:
    """Of the last 200 of 700 values of a period of 27 next to none is missed."""
    network = SymbolModel(ModelShape(layers, window=64, stateful=True, seed=0), replace(LEARNING, learning_rate=7e-3))
    period = [1] * 6 + [2] + [1] * 5 + [2] + [1] * 6 + [2] + [1] * 6 + [3]
    codes = np.tile(np.array(period, np.int32), 26)
    run = learn(network, codes, 64, window=64)
    hits = run.probabilities[:-1].argmax(axis=1) == codes
    assert hits[500:].mean() > 0.97


@pytest.mark.parametrize(("known", "classes"), [(1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (256, 256), (257, 512)])
def test_capacity_is_a_power_of_two(network: SymbolModel, known: int, classes: int) -> None:
    """Capacity doubles, so that programs are few."""
    assert classes == network.classes_for(known)
