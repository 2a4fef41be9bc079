"""The network of labels: a sample is one step, a sequence one fit step, and neither shows what it came with."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from online_lstm.learning.network import LabelModel, LearningSettings, ModelShape
from online_lstm.learning.network.forward import forward
from online_lstm.learning.network.label_program import compile_fit
from online_lstm.learning.network.signatures import SequenceArguments

pytestmark = pytest.mark.long

FEATURES = 3
LEARNING = LearningSettings(
    learning_rate=0.01,
    beta_1=0.9,
    beta_2=0.99,
    epsilon=1e-3,
    clip_norm=1.0,
    lr_gate_loss=0.0,
    retry_steps=0,
    retry_budget=0.0,
    retry_refill=0.0,
)
RANDOM = np.random.default_rng(3)
SAMPLES = RANDOM.normal(size=(300, FEATURES)).astype(np.float32)
STACKS = (("lstm 8",), ("lstm 8", "layer_norm", "leaky_relu 0.3", "gru 4", "dense 5 tanh"))
DROPPING = ("lstm 8", "leaky_relu 0.3", "dropout 0.2", "lstm 4", "dropout 0.2", "leaky_relu 0.3")


@cache
def network_of(classes: int = 2, layers: tuple[str, ...] = ("lstm 8",), position_weights: str = "all") -> LabelModel:
    shape = ModelShape(layers=layers, window=1, stateful=True, seed=0)
    return LabelModel(shape, LEARNING, features=FEATURES, classes=classes, position_weights=position_weights)  # type: ignore[arg-type]


def all_of(classes: int) -> NDArray[np.bool_]:
    return np.ones(classes, np.bool_)


def whole_pass(
    network: LabelModel, state: NDArray[np.float32], samples: NDArray[np.float32], masked: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Give outputs and states of one pass over a sequence with so many masked steps before and after it."""
    padding = [np.full((count, FEATURES), 9, np.float32) for count in masked]
    inputs = np.concatenate([padding[0], samples, padding[1]])[:, None]
    mask = np.zeros((len(inputs), 1), np.float32)
    mask[masked[0] : masked[0] + len(samples)] = 1
    layout = network._layout_of(state)
    logits, states = forward(
        layout,
        tf.constant(state[: layout.sizes[0]]),
        lambda kernel: inputs @ kernel[:FEATURES],
        tf.constant(mask),
        tf.zeros((1, network.states_size)),
    )
    return logits.numpy()[:, 0], [array.numpy()[:, 0] for array in states]


def stepped(network: LabelModel, state: NDArray[np.float32], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the probabilities after each sample of one sequence, in calls of one sample."""
    states, said = np.zeros((1, network.states_size), np.float32), []
    for sample in samples:
        steps = network.run(state, sample[None], np.zeros(1, np.int32), states, all_of(network.classes))
        states = steps.states
        said.append(steps.probabilities[0])
    return np.array(said)


@pytest.mark.parametrize("layers", [*STACKS, DROPPING])
@pytest.mark.parametrize("classes", [2, 13])
def test_step_by_step_equals_one_pass(classes: int, layers: tuple[str, ...]) -> None:
    """The states that are carried are all that is needed of the samples before; a sigmoid of two, a softmax of more."""
    network = network_of(classes, layers)
    state = network.fit(network.initial(), SAMPLES[:40], 1, all_of(classes), number=1).state
    outputs, _ = whole_pass(network, state, SAMPLES[:40])
    if classes == 2:
        one = 1 / (1 + np.exp(-outputs[:, 0]))
        expected = np.column_stack([1 - one, one])
    else:
        expected = tf.nn.softmax(outputs[:, :classes]).numpy()
    np.testing.assert_allclose(stepped(network, state, SAMPLES[:40]), expected, atol=1e-6)


@pytest.mark.parametrize("calls", [1, 7, 64])
def test_calls_of_any_length_give_the_same_bits(calls: int) -> None:
    """What is said of a sample and where its sequence is do not show what else was in the call."""
    network, places = network_of(5), RANDOM.integers(0, 9, 200)
    possible = np.array([True, True, False, True, False])
    states, said = np.zeros((9, network.states_size), np.float32), []
    for first in range(0, len(places), calls):
        here = slice(first, first + calls)
        moving, own = np.unique(places[here], return_inverse=True)
        steps = network.run(network.initial(), SAMPLES[:200][here], own, states[moving], possible)
        states[moving] = steps.states
        said.append(steps.probabilities)
    for place in range(9):
        own = SAMPLES[:200][places == place]
        alone, moved = [], np.zeros((1, network.states_size), np.float32)
        for sample in own:
            steps = network.run(network.initial(), sample[None], np.zeros(1, np.int32), moved, possible)
            moved = steps.states
            alone.append(steps.probabilities[0])
        assert np.array(alone).tobytes() == np.concatenate(said)[places == place].tobytes()
        assert moved[0].tobytes() == states[place].tobytes()


@pytest.mark.parametrize("layers", STACKS)
def test_masked_steps_change_nothing(layers: tuple[str, ...]) -> None:
    """A sequence that is padded to four times its bucket is learned from as the same one."""
    network = network_of(2, layers)
    state = network.fit(network.initial(), SAMPLES[:30], 0, all_of(2), number=1).state
    layout = network._layout_of(state)
    expected, states = whole_pass(network, state, SAMPLES[:7])
    outputs, padded_states = whole_pass(network, state, SAMPLES[:7], masked=(25, 0))
    np.testing.assert_allclose(outputs[25:], expected, atol=1e-6)
    assert not any(array[:25].any() for array in padded_states)
    for array, padded in zip(states, padded_states, strict=True):
        np.testing.assert_allclose(padded[25:], array, atol=1e-6)
    outputs, _ = whole_pass(network, state, SAMPLES[:7], masked=(0, 25))
    np.testing.assert_allclose(outputs[:7], expected, atol=1e-6)
    programs = {steps: compile_fit(layout, LEARNING, features=FEATURES, classes=2, steps=steps) for steps in (8, 32)}
    learned, reports = {}, {}
    for steps, program in programs.items():
        padded = np.full((steps, FEATURES), 9, np.float32)
        padded[steps - 7 :] = SAMPLES[:7]
        positions = np.zeros(steps, np.float32)
        positions[steps - 7 :] = network.positions(7)
        call = SequenceArguments(state, padded, positions, possible=np.ones(2), length=7, label=1)
        learned[steps], *reports[steps] = program(call)
    np.testing.assert_allclose(reports[8], reports[32], atol=1e-6)
    np.testing.assert_allclose(learned[8], learned[32], atol=1e-6)
    moments = slice(layout.sizes[0], 2 * layout.sizes[0])  # the first ones are the gradients so far
    np.testing.assert_allclose(learned[8][moments], learned[32][moments], atol=1e-7)
    assert np.abs(learned[8][moments]).max() > 1e-3


def test_a_fit_step_makes_the_label_likelier_at_every_sample() -> None:
    """Many to many: also after the first samples, of which the last ones are not known yet."""
    network = network_of(13)
    state, before = network.initial(), stepped(network, network.initial(), SAMPLES[:20])[:, 7]
    for _ in range(5):
        fitted = network.fit(state, SAMPLES[:20], 7, all_of(13), number=1)
        assert (1, 0) == (fitted.fit_steps, fitted.skipped_steps)
        state = fitted.state
    assert (stepped(network, state, SAMPLES[:20])[:, 7] > before).all()


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("all", [0.25, 0.25, 0.25, 0.25]), ("last", [0, 0, 0, 1]), ("linear", [0.1, 0.2, 0.3, 0.4])],
)
def test_positions_count_as_they_are_asked_to(weights: str, expected: list[float]) -> None:
    """The loss is that of the samples' predictions, weighted: all alike, the last alone, or the more the later."""
    network = network_of(2, position_weights=weights)
    np.testing.assert_allclose(network.positions(4), expected, rtol=1e-6)
    said = stepped(network, network.initial(), SAMPLES[:4])[:, 1]
    fitted = network.fit(network.initial(), SAMPLES[:4], 1, all_of(2), number=1)
    assert fitted.loss == pytest.approx(float(-np.log(said) @ np.array(expected)), rel=1e-5)


def test_labels_that_cannot_be_get_no_probability() -> None:
    """They take nothing from the others; one that is alone is certain, and there is nothing to learn of it."""
    network = network_of(13)
    possible = np.zeros(13, np.bool_)
    possible[[2, 5]] = True
    steps = network.run(
        network.initial(), SAMPLES[:1], np.zeros(1, int), np.zeros((1, network.states_size), np.float32), possible
    )
    assert {2, 5} == set(np.flatnonzero(steps.probabilities[0]).tolist())
    assert steps.probabilities[0].sum() == pytest.approx(1)
    possible[5] = False
    fitted = network.fit(network.initial(), SAMPLES[:9], 2, possible, number=1)
    size = network._layout_of(fitted.state).sizes[0]
    assert 0 == fitted.loss
    assert fitted.state[:size].tobytes() == network.initial()[:size].tobytes()


def test_what_is_not_finite_is_skipped() -> None:
    """A step that would break the weights is not taken, and counted."""
    network = network_of()
    broken = np.full((5, FEATURES), np.nan, np.float32)
    fitted = network.fit(network.initial(), broken, 1, all_of(2), number=1)
    assert (0, 1) == (fitted.fit_steps, fitted.skipped_steps)
    assert fitted.state.tobytes() == network.initial().tobytes()


def test_programs_are_as_few_as_buckets() -> None:
    """However many sequences of whatever lengths are learned from, each bucket has one program, and traces it once."""
    network = network_of(3)
    for length in (1, 3, 8, 9, 16, 5, 31, 17, 2, 8):
        network.fit(network.initial(), SAMPLES[:length], 0, all_of(3), number=1)
    assert {8, 16, 32} == network._fits.keys()


def test_what_is_dropped_follows_from_the_number_of_the_sequence() -> None:
    """The same one drops the same, another one something else; predictions drop nothing."""
    network = network_of(2, DROPPING)
    fits = [network.fit(network.initial(), SAMPLES[:9], 1, all_of(2), number=number).state for number in (1, 1, 2)]
    assert fits[0].tobytes() == fits[1].tobytes()
    assert fits[0].tobytes() != fits[2].tobytes()
