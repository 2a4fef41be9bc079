import numpy as np
import pytest
from online_lstm.learning.network.layers import Layer, parse_layers
from online_lstm.learning.network.layout import Layout

MIXED = parse_layers(["gru 3", "layer_norm", "dense 4 tanh", "dropout 0.5", "lstm 2", "leaky_relu"])
STACKS = [parse_layers(["lstm 3"]), parse_layers(["lstm 5", "lstm 2"]), parse_layers(["dense 6", "gru 2"]), MIXED]


@pytest.mark.parametrize("units", [(3,), (5, 2)])
def test_row_holds_weights_moments_counts_and_states(units: tuple[int, ...]) -> None:
    """The length of a row is the sum of its parts."""
    u, above = units[0], units[1:]
    weights = 4 * u * (4 + u + 1) + sum(4 * a * (u + a + 1) for a in above) + (units[-1] + 1) * 4
    assert 3 * weights + 2 + 2 * sum(units) == Layout(parse_layers([f"lstm {u}" for u in units]), 4).row_size


def test_each_layer_has_its_arrays_and_its_states() -> None:
    """Kernels lead from width to width; layers without weights have none, layers without memory no state."""
    layout = Layout(MIXED, 8)
    gru, norm, dense, lstm = [(3, 9), (2, 9)], [(3,), (3,)], [(3, 4), (4,)], [(4, 8), (2, 8), (8,)]
    assert (*gru, *norm, *dense, *lstm, (8, 9 + 2 + 1)) == layout.weight_shapes
    assert [3, 2, 2] == layout.state_sizes
    assert 3 * (27 + 18 + 6 + 16 + 56 + 96) + 2 + 7 == layout.row_size


def test_initial_weights_are_those_of_keras() -> None:
    """The recurrent kernel is orthogonal, the forget bias 1, kernels within Glorot's limit, all else 0."""
    layout = Layout(parse_layers(["lstm 8"]), 4)
    state = layout.initial(seed=7)
    recurrent, bias, by_class = np.split(state[: layout.sizes[0]], np.cumsum(layout.weight_sizes)[:-1])
    recurrent = recurrent.reshape(8, 32)
    assert np.allclose(np.eye(8), recurrent @ recurrent.T, rtol=0, atol=1e-6)
    assert [0] * 8 + [1] * 8 + [0] * 16 == bias.tolist()
    inputs, outputs, dense_bias = np.split(by_class.reshape(4, 41), [32, 40], axis=1)
    assert 0.9 < np.abs(inputs).max() / np.sqrt(6 / (4 + 32)) <= 1
    assert 0.9 < np.abs(outputs).max() / np.sqrt(6 / (8 + 4)) <= 1
    assert not dense_bias.any()
    assert not state[layout.sizes[0] :].any()


def test_initial_weights_of_other_layers_are_those_of_keras() -> None:
    """Biases are 0, what normalises starts with 1 and 0, kernels are within Glorot's limit."""
    layout = Layout(MIXED, 4)
    parts = np.split(layout.initial(seed=7)[: layout.sizes[0]], np.cumsum(layout.weight_sizes)[:-1])
    recurrent, gru_bias, gamma, beta, kernel, bias, *_ = parts
    recurrent = recurrent.reshape(3, 9)
    assert np.allclose(np.eye(3), recurrent @ recurrent.T, rtol=0, atol=1e-6)
    assert not any(part.any() for part in (gru_bias, beta, bias))
    assert (gamma == 1).all()
    assert 0.5 < np.abs(kernel).max() / np.sqrt(6 / (3 + 4)) <= 1


def test_initial_weights_follow_the_seed() -> None:
    """The same seed gives the same row, another seed another."""
    layout = Layout(parse_layers(["lstm 3", "lstm 2"]), 4)
    assert layout.initial(seed=1).tobytes() == layout.initial(seed=1).tobytes()
    assert layout.initial(seed=1).tobytes() != layout.initial(seed=2).tobytes()


@pytest.mark.parametrize("layers", STACKS)
def test_growing_an_initial_state_gives_the_larger_initial_state(layers: tuple[Layer, ...]) -> None:
    """What a class starts with does not depend on when room was made for it."""
    small, large = Layout(layers, 4), Layout(layers, 16)
    grown = small.grow(small.initial(seed=3), large, seed=3)
    assert large.initial(seed=3).tobytes() == grown.tobytes()


@pytest.mark.parametrize("layers", STACKS)
def test_growing_keeps_what_was_learned(layers: tuple[Layer, ...]) -> None:
    """Weights, moments, count and states of before are all there, next to fresh classes."""
    small, large = Layout(layers, 4), Layout(layers, 8)
    state = np.arange(small.row_size, dtype=np.float32)
    grown = small.grow(state, large, seed=3)
    shared, by_class = large.learned(grown)
    expected_shared, expected_by_class = small.learned(state)
    assert np.array_equal(expected_shared, shared)
    assert np.array_equal(expected_by_class, by_class[:, :4])
    rest = 2 + small.sizes[-1]
    assert np.array_equal(state[-rest:], grown[-rest:])
    assert np.array_equal(large.learned(large.initial(seed=3))[1][:, 4:], by_class[:, 4:])


@pytest.mark.parametrize("layers", STACKS)
def test_a_class_that_is_reset_starts_as_initially(layers: tuple[Layer, ...]) -> None:
    """Only its own line changes, in place: initial weights, zero moments."""
    layout = Layout(layers, 4)
    state = np.full(layout.row_size, 9, np.float32)
    layout.reset_class(state, 2, seed=5)
    shared, by_class = layout.learned(state)
    assert np.array_equal(layout.learned(layout.initial(seed=5))[1][:, 2], by_class[:, 2])
    by_class[:, 2] = 9
    assert (state == 9).all()
    assert (shared == 9).all()


def test_states_are_reset_in_place() -> None:
    """The left-edge states are zero after a break; what was learned stays."""
    layout = Layout(parse_layers(["lstm 3", "lstm 2"]), 4)
    state = np.ones(layout.row_size, np.float32)
    layout.reset_states(state)
    assert [1] * (layout.row_size - 10) + [0] * 10 == state.tolist()
