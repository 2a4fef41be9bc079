"""One event, taken eagerly: what is asserted here holds for the compiled loop, whose body it is."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from online_lstm.learning.network.tensorflow_runtime import pin_runtime

pin_runtime()
import keras  # noqa: E402 - after the pins
import tensorflow as tf  # noqa: E402
from online_lstm.learning.network.fit_step import FitReport, TrainState  # noqa: E402
from online_lstm.learning.network.forward import forward  # noqa: E402
from online_lstm.learning.network.hyperparameters import LearningSettings  # noqa: E402
from online_lstm.learning.network.layers import Dense, Dropout, Gru, Layer, LayerNorm, LeakyRelu, Lstm, parse_layers  # noqa: E402
from online_lstm.learning.network.layout import Layout  # noqa: E402
from online_lstm.learning.network.symbol_program import _fit_step, _retry_steps  # noqa: E402

pytestmark = pytest.mark.long

PLAIN = LearningSettings(
    learning_rate=1e-2,
    beta_1=0.9,
    beta_2=0.99,
    epsilon=1e-3,
    clip_norm=np.inf,
    lr_gate_loss=0,
    retry_steps=0,
    retry_budget=0,
    retry_refill=0,
)
CODES = [1, 3, 0, 2, 1, 1, 3]
STACKS = [
    parse_layers(layers)
    for layers in (
        ["lstm 5"],
        ["lstm 4", "lstm 3"],
        ["gru 5"],
        ["dense 6 tanh", "gru 4", "gru 3"],
        ["lstm 4", "layer_norm", "dense 6", "dense 5 relu", "gru 3", "dense 4 sigmoid"],
        ["lstm 6", "leaky_relu 0.3", "dropout 0", "lstm 4", "leaky_relu", "layer_norm"],
    )
]
LSTM, STACKED = STACKS[:2]
DROPPING = parse_layers(["lstm 4", "leaky_relu 0.3", "dropout 0.3", "gru 3", "dropout 0.2"])


def memory_of(layout: Layout) -> TrainState:
    return TrainState.from_row(layout, layout.initial(seed=2))


def take_event(
    layout: Layout,
    memory: TrainState,
    learning: LearningSettings = PLAIN,
    *,
    codes: list[int] = CODES,
    replayed: list[int] | None = None,
    start: float = 0.0,
    known: int = 4,
    stateful: bool = True,
    dropout: tuple[int, int] | None = None,
) -> tuple[TrainState, FitReport]:
    """Take one event; ``replayed`` is fitted beside it, from left-edge states that are all ``start``."""
    others = [] if replayed is None else [replayed]
    memory, slid, report = _fit_step(
        layout,
        learning,
        memory,
        codes=tf.constant([codes, *others]),
        starts=tf.stack([memory.states, *[tf.fill(memory.states.shape, start) for _ in others]]),
        known=tf.constant([known, known]),
        arrived=tf.constant(True),
        dropout=None if dropout is None else tf.constant(dropout),
    )
    return memory._replace(states=slid) if stateful else memory, FitReport(*[part.numpy() for part in report])


def keras_layer(layer: Layer) -> keras.layers.Layer:
    match layer:
        case Lstm(units):
            return keras.layers.LSTM(units, return_sequences=True)
        case Gru(units):
            return keras.layers.GRU(units, return_sequences=True)
        case Dense(units, activation):
            return keras.layers.Dense(units, activation=activation)
        case LeakyRelu(slope):
            return keras.layers.LeakyReLU(slope)
        case LayerNorm():
            return keras.layers.LayerNormalization()
        case Dropout(rate):
            return keras.layers.Dropout(rate)
    raise AssertionError(layer)


class Reference:
    """The same network made of Keras's layers, with the same weights."""

    def __init__(self, layout: Layout, weights: tf.Tensor) -> None:
        *shared, by_class = (
            part.numpy().reshape(shape)
            for part, shape in zip(tf.split(weights, layout.weight_sizes), layout.weight_shapes, strict=True)
        )
        kernel, dense_kernel, dense_bias = np.split(by_class, np.cumsum(layout.class_widths)[:-1], axis=1)
        self.layout = layout
        self.model = keras.Sequential([*map(keras_layer, layout.layers), keras.layers.Dense(layout.classes)])
        self.model.build((1, None, layout.classes))
        self.model.set_weights([kernel, *shared, dense_kernel.T, dense_bias[:, 0]])

    def logits(self, codes: list[int]) -> tf.Tensor:
        return self.model(np.eye(self.layout.classes, dtype=np.float32)[codes][None])[0]

    def fit(self, codes: list[int], optimizer: keras.optimizers.Optimizer) -> float:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(codes[1:], self.logits(codes[:-1])))
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return float(loss)

    def weights(self) -> np.ndarray:
        kernel, *shared, dense_kernel, dense_bias = self.model.get_weights()
        by_class = np.concatenate([kernel, dense_kernel.T, dense_bias[:, None]], axis=1)
        return np.concatenate([array.ravel() for array in [*shared, by_class]])


@pytest.mark.parametrize("layers", STACKS)
def test_the_prediction_is_that_of_keras(layers: tuple[Layer, ...]) -> None:
    """The probabilities are the softmax of Keras's stacked layers and dense layer at the last position."""
    layout = Layout(layers, 4)
    memory = memory_of(layout)
    _, report = take_event(layout, memory)
    expected = tf.nn.softmax(Reference(layout, memory.weights).logits(CODES[:-1])[-1])
    assert np.allclose(expected, report.outputs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layers", STACKS)
def test_fit_steps_are_those_of_keras(layers: tuple[Layer, ...]) -> None:
    """With neither clipping nor gate, weights and loss follow automatic differentiation and Keras's Adam."""
    layout = Layout(layers, 4)
    memory = memory_of(layout)
    reference = Reference(layout, memory.weights)
    optimizer = keras.optimizers.Adam(learning_rate=1e-2, beta_1=0.9, beta_2=0.99, epsilon=1e-3)
    for step, window in enumerate((CODES, [*CODES[1:], 0], [*CODES[2:], 0, 2]), 1):
        optimizer.epsilon = 1e-3 * (1 - 0.99**step) ** 0.5  # Keras adds it to the root of the uncorrected moment
        expected_loss = reference.fit(window, optimizer)
        memory, report = take_event(layout, memory._replace(states=tf.zeros(layout.sizes[-1])), codes=window)
        assert report.fit_steps == 1
        assert abs(expected_loss - report.losses) < 1e-6
        assert np.allclose(reference.weights(), memory.weights, rtol=0, atol=1e-5)
    assert [3] == memory.steps.numpy().tolist()


@pytest.mark.parametrize("layers", STACKS)
def test_a_replayed_window_counts_as_much_as_the_one_at_hand(layers: tuple[Layer, ...]) -> None:
    """The gradient is that of the mean over all positions of both; prediction and loss are those of the event."""
    layout, other = Layout(layers, 4), [2, 2, 0, 1, 3, 0, 0]
    memory = memory_of(layout)
    alone, report = take_event(layout, memory)
    replayed, _ = take_event(layout, memory._replace(states=tf.fill(memory.states.shape, 0.3)), codes=other)
    both, both_report = take_event(layout, memory, replayed=other, start=0.3)
    assert np.allclose((alone.m + replayed.m) / 2, both.m, rtol=0, atol=1e-7)
    assert np.allclose(report.outputs, both_report.outputs, rtol=0, atol=1e-6)
    assert abs(report.losses - both_report.losses) < 1e-6
    assert np.allclose(alone.states, both.states, rtol=0, atol=1e-6)


def test_positions_count_where_the_replayed_window_is_not_full() -> None:
    """Two positions beside six weigh a quarter; a window with none changes nothing."""
    layout = Layout(LSTM, 4)
    memory = memory_of(layout)
    alone, _ = take_event(layout, memory)
    short, _ = take_event(layout, memory, codes=[-1, -1, -1, -1, 2, 3, 1])
    both, _ = take_event(layout, memory, replayed=[-1, -1, -1, -1, 2, 3, 1])
    none, _ = take_event(layout, memory, replayed=[-1] * 7)
    assert np.allclose((6 * alone.m + 2 * short.m) / 8, both.m, rtol=0, atol=1e-7)
    assert np.allclose(alone.weights, none.weights, rtol=0, atol=1e-7)


def test_the_gate_looks_at_the_event_only() -> None:
    """However well known what is replayed is, the rate is that of the window at hand."""
    layout = Layout(LSTM, 4)
    memory = memory_of(layout)
    _, report = take_event(layout, memory)
    gate = 4 * float(report.losses)
    free, _ = take_event(layout, memory, replayed=[2, 2, 0, 1, 3, 0, 0])
    gated, _ = take_event(layout, memory, replace(PLAIN, lr_gate_loss=gate), replayed=[2, 2, 0, 1, 3, 0, 0])
    assert np.allclose((free.weights - memory.weights) / 4, gated.weights - memory.weights, rtol=0, atol=1e-7)


def test_only_known_codes_have_probability() -> None:
    """The softmax, for prediction and loss alike, is over the codes below ``known``."""
    layout = Layout(LSTM, 8)
    memory, report = take_event(layout, memory_of(layout), known=4)
    assert not report.outputs[4:].any()
    assert abs(report.outputs.sum() - 1) < 1e-6
    _, by_class = layout.learned(np.concatenate([memory.weights, memory.m, memory.v]))
    assert not by_class[1:, 4:].any()


def test_the_gradient_is_clipped_to_its_global_norm() -> None:
    """The first moments after one step are a tenth of the gradient: it keeps its direction, not its length."""
    layout = Layout(LSTM, 4)
    free, _ = take_event(layout, memory_of(layout))
    clipped, _ = take_event(layout, memory_of(layout), replace(PLAIN, clip_norm=0.01))
    norm = np.linalg.norm(free.m)
    assert norm > 0.01
    assert np.allclose(0.001 * free.m / norm, clipped.m, rtol=1e-4, atol=1e-8)


def test_the_gate_shrinks_the_rate_in_proportion_to_the_loss() -> None:
    """At a loss of a quarter of the gate, weights move a quarter of the way; above it, all of it."""
    layout = Layout(LSTM, 4)
    start = memory_of(layout)
    free, report = take_event(layout, start)
    gated, _ = take_event(layout, start, replace(PLAIN, lr_gate_loss=4 * float(report.losses)))
    above, _ = take_event(layout, start, replace(PLAIN, lr_gate_loss=float(report.losses) / 2))
    assert np.allclose((free.weights - start.weights) / 4, gated.weights - start.weights, rtol=0, atol=1e-7)
    assert np.array_equal(free.weights, above.weights)
    assert np.array_equal(free.m, gated.m)


@pytest.mark.parametrize("layers", STACKS)
def test_a_window_that_is_not_full_counts_only_what_is_there(layers: tuple[Layer, ...]) -> None:
    """Left padding changes nothing against a shorter window."""
    layout = Layout(layers, 4)
    expected, expected_report = take_event(layout, memory_of(layout))
    padded, report = take_event(layout, memory_of(layout), codes=[-1, -1, -1, *CODES])
    assert np.allclose(expected_report.outputs, report.outputs, rtol=0, atol=1e-6)
    assert abs(expected_report.losses - report.losses) < 1e-6
    assert np.allclose(expected.weights, padded.weights, rtol=0, atol=1e-6)
    assert not padded.states.numpy().any()


@pytest.mark.parametrize("layers", STACKS)
def test_masked_steps_at_the_end_change_nothing(layers: tuple[Layer, ...]) -> None:
    """Outputs, states and gradient of the steps before them are those of the shorter sequence, whatever follows."""
    layout = Layout(layers, 4)
    weights = memory_of(layout).weights
    random = np.random.default_rng(3)
    inputs = random.normal(size=(8, 2, 4)).astype(np.float32)
    mask = np.ones((8, 2), np.float32)
    mask[5:] = 0

    def pass_through(steps: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, states = forward(
                layout,
                weights,
                lambda kernel: inputs[:steps] @ kernel,
                tf.constant(mask[:steps]),
                tf.fill((2, layout.sizes[-1]), 0.3),
            )
            loss = tf.reduce_sum(tf.sin(logits) * mask[:steps, :, None]) / 40
        gradient = tape.gradient(loss, weights)
        return logits[:5].numpy(), [state[4].numpy() for state in states], gradient.numpy()

    logits, states, gradient = pass_through(5)
    padded_logits, padded_states, padded_gradient = pass_through(8)
    assert np.allclose(logits, padded_logits, rtol=0, atol=1e-6)
    assert all(np.allclose(one, other, rtol=0, atol=1e-6) for one, other in zip(states, padded_states, strict=True))
    assert np.allclose(gradient, padded_gradient, rtol=0, atol=2e-6)


@pytest.mark.parametrize("layers", STACKS)
def test_the_carried_state_is_that_of_the_whole_past(layers: tuple[Layer, ...]) -> None:
    """Without learning, a short window that slid over a stream predicts as one that sees all of it."""
    layout, still = Layout(layers, 4), replace(PLAIN, learning_rate=0.0)
    stream = 3 * CODES
    _, expected = take_event(layout, memory_of(layout), still, codes=stream)
    memory, padded = memory_of(layout), [-1] * 5 + stream
    for start in range(len(stream)):
        memory, report = take_event(layout, memory, still, codes=padded[start : start + 6])
    assert np.allclose(expected.outputs, report.outputs, rtol=0, atol=1e-6)


def test_without_carrying_the_left_edge_stays_zero() -> None:
    """A stateless network knows nothing but its window."""
    layout = Layout(LSTM, 4)
    stateful, _ = take_event(layout, memory_of(layout))
    stateless, _ = take_event(layout, memory_of(layout), stateful=False)
    assert stateful.states.numpy().all()
    assert not stateless.states.numpy().any()


@pytest.mark.parametrize("layers", STACKS)
def test_an_empty_window_teaches_nothing(layers: tuple[Layer, ...]) -> None:
    """The first event of a stream has nothing before it: no step is taken, and none is skipped."""
    layout = Layout(layers, 4)
    before = memory_of(layout)
    after, report = take_event(layout, before, codes=[-1] * 6 + [1])
    assert (0, 0, 0) == (report.fit_steps, report.skipped_steps, report.losses)
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("part", "value"), [("m", np.nan), ("m", np.inf), ("v", np.nan), ("v", np.inf), ("weights", 1e38)]
)
def test_what_is_not_finite_changes_nothing_and_is_reported(part: str, value: float) -> None:
    """Weights, moments and step count stay as they were; the window moves on."""
    layout = Layout(LSTM, 4)
    start = memory_of(layout)
    spoiled = getattr(start, part).numpy()
    spoiled[-3] = value
    before = start._replace(**{part: tf.constant(spoiled)})
    after, report = take_event(layout, before)
    assert report.fit_steps == 0
    for old, new in zip(before[:4], after[:4], strict=True):
        assert np.array_equal(old, new, equal_nan=True)
    assert after.states.numpy().any()


def test_what_is_dropped_is_dropped_while_fitting_only() -> None:
    """The prediction and what is carried are the same with every seed and without dropout; the step taken is not."""
    layout = Layout(DROPPING, 4)
    start = memory_of(layout)
    free, free_report = take_event(layout, start)
    fits = [take_event(layout, start, dropout=seed, replayed=CODES) for seed in ((1, 2), (1, 3), (2, 2))]
    for memory, report in fits:
        assert np.allclose(free_report.outputs, report.outputs, rtol=0, atol=1e-6)
        assert np.allclose(free.states, memory.states, rtol=0, atol=1e-6)
    gradients = [free.m.numpy(), *(memory.m.numpy() for memory, _ in fits)]
    assert all(not np.allclose(one, other) for one, other in combinations(gradients, 2))
    again, _ = take_event(layout, start, dropout=(1, 3), replayed=CODES)
    assert np.array_equal(fits[1][0].m, again.m)


def test_dropout_is_that_of_its_definition() -> None:
    """The share that is dropped is the rate, layer by layer another, and what stays keeps the mean."""
    layers = parse_layers(["lstm 8", "dropout 0.25", "dropout 0.25"])
    layout = Layout(layers, 4)
    weights = np.zeros(layout.sizes[0], np.float32)
    by_class = weights[-layout.weight_sizes[-1] :].reshape(4, -1)
    recurrent_bias = weights[8 * 32 :][:32]
    recurrent_bias[:] = 50  # every gate is open: h is tanh of the number of steps
    by_class[:, 32:40] = np.eye(4, 8)
    logits, _ = forward(
        layout,
        tf.constant(weights),
        lambda kernel: tf.zeros((100, 10, 32)) + 0 * tf.reduce_sum(kernel),
        tf.ones((100, 10)),
        tf.fill((10, 16), 20.0),
        dropout=tf.constant([5, 6]),
    )
    logits = logits.numpy()
    assert np.allclose([0, 1 / 0.75**2], np.unique(logits.round(5)), atol=1e-4)
    assert abs((logits > 0).mean() - 0.75**2) < 0.03
    assert abs(logits.mean() - 1) < 0.06


@pytest.mark.parametrize(
    ("what", "codes", "known", "spent", "expected"),
    [
        ("a hit", [0, 1, 2], 4, 0.0, 0),
        ("a miss", [0, 1, 3], 4, 0.0, 7),
        ("unknown is never a hit", [0, 1, 0], 4, 0.0, 7),
        ("nor is a class that is new", [0, 1, 2], 2, 0.0, 7),
        ("nothing was predicted yet", [-1, -1, 3], 4, 0.0, 0),
        ("no class was known yet", [0, 0, 1], 1, 0.0, 0),
        ("the budget is almost spent", [0, 1, 3], 4, 97.25, 2),
        ("the budget is spent", [0, 1, 3], 4, 99.5, 0),
    ],
)
def test_a_missed_event_is_worth_extra_steps(
    what: str, codes: list[int], known: int, spent: float, expected: int
) -> None:
    """As many as the setting says, as far as the budget goes; a hit is worth none."""
    learning = replace(PLAIN, retry_steps=7, retry_budget=100, retry_refill=0.25)
    memory = memory_of(Layout(LSTM, 4))._replace(spent=tf.constant([spent]))
    probabilities = tf.constant([0.5, 0.1, 0.3, 0.1])
    extra = _retry_steps(
        learning, memory, probabilities, codes=tf.constant(codes), known=known, arrived=tf.constant(True)
    )
    assert expected == int(extra), what
