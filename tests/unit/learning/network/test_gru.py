import numpy as np
import pytest
from online_lstm.learning.network.tensorflow_runtime import pin_runtime

pin_runtime()
import keras  # noqa: E402 - after the pins
import tensorflow as tf  # noqa: E402
from online_lstm.learning.network.gru import gru  # noqa: E402

pytestmark = pytest.mark.long

STEPS, BATCH, BELOW, UNITS = 7, 2, 3, 5


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    shapes = {"x": (STEPS, BATCH, BELOW), "kernel": (BELOW, 3 * UNITS), "recurrent": (UNITS, 3 * UNITS)}
    shapes |= {"bias": (2, 3 * UNITS), "h0": (BATCH, UNITS), "weighting": (STEPS, BATCH, UNITS)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def gradients_of_ours(arrays: dict[str, np.ndarray], mask: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    weights = [tf.Variable(arrays[name]) for name in ("kernel", "recurrent", "bias")]
    with tf.GradientTape() as tape:
        kernel, recurrent, bias = weights
        projected = tf.tensordot(arrays["x"], kernel, 1) + bias[0]
        h = gru(projected, recurrent, bias[1], tf.constant(arrays["h0"]), tf.constant(mask))
        objective = tf.reduce_sum(h * arrays["weighting"])
    return h.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(objective, weights)]


def test_outputs_and_gradients_are_those_of_keras(arrays: dict[str, np.ndarray]) -> None:
    """From any initial states of two sequences, the layer is Keras's GRU, its gradient automatic differentiation's."""
    layer = keras.layers.GRU(UNITS, return_sequences=True)
    layer.build((BATCH, STEPS, BELOW))
    layer.set_weights([arrays[name] for name in ("kernel", "recurrent", "bias")])
    with tf.GradientTape() as tape:
        outputs = layer(arrays["x"].swapaxes(0, 1), initial_state=[arrays["h0"]])
        expected = tf.transpose(outputs, (1, 0, 2))
        objective = tf.reduce_sum(expected * arrays["weighting"])
    variables = [variable.value for variable in layer.trainable_variables]
    h, gradients = gradients_of_ours(arrays, np.ones((STEPS, BATCH), np.float32))
    assert np.allclose(expected, h, rtol=0, atol=1e-6)
    for theirs, ours in zip(tape.gradient(objective, variables), gradients, strict=True):
        assert np.allclose(theirs, ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize("masked", [[0, 1, 2], [5, 6], [2, 4], [0, 3, 6]])
def test_masked_steps_are_as_if_they_were_not_there(arrays: dict[str, np.ndarray], masked: list[int]) -> None:
    """Wherever they are, the output stays as it was, and outputs and gradients are those of the shorter sequence."""
    kept = [step for step in range(STEPS) if step not in masked]
    arrays["weighting"][masked] = 0
    shorter = arrays | {"x": arrays["x"][kept], "weighting": arrays["weighting"][kept]}
    expected, expected_gradients = gradients_of_ours(shorter, np.ones((len(kept), BATCH), np.float32))
    mask = np.ones((STEPS, BATCH), np.float32)
    mask[masked] = 0
    h, gradients = gradients_of_ours(arrays, mask)
    assert np.allclose(expected, h[kept], rtol=0, atol=1e-6)
    before = np.concatenate([arrays["h0"][None], h[:-1]])
    assert np.array_equal(before[masked], h[masked])
    for theirs, ours in zip(expected_gradients, gradients, strict=True):
        assert np.allclose(theirs, ours, rtol=0, atol=1e-6)


def test_each_sequence_has_a_mask_of_its_own(arrays: dict[str, np.ndarray]) -> None:
    """Where the second sequence begins later, the first one's outputs are as they were."""
    expected, _ = gradients_of_ours(arrays, np.ones((STEPS, BATCH), np.float32))
    mask = np.ones((STEPS, BATCH), np.float32)
    mask[:3, 1] = 0
    h, _ = gradients_of_ours(arrays, mask)
    assert np.array_equal(expected[:, 0], h[:, 0])
    assert (h[:3, 1] == arrays["h0"][1]).all()
