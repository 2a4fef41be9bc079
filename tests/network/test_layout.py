import numpy as np
import pytest

from daemon.network.layout import Layout


@pytest.mark.parametrize("units", [(3,), (5, 2)])
def test_a_row_holds_weights_two_moments_two_counts_and_the_states(units: tuple[int, ...]) -> None:
    """The length of a row is the sum of its parts."""
    u, above = units[0], units[1:]
    weights = 4 * u * (4 + u + 1) + sum(4 * a * (u + a + 1) for a in above) + (units[-1] + 1) * 4
    assert 3 * weights + 2 + 2 * sum(units) == Layout(units, 4).row_size


def test_initial_weights_are_those_of_keras() -> None:
    """The recurrent kernel is orthogonal, the forget bias 1, kernels within Glorot's limit, all else 0."""
    layout = Layout((8,), 4)
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


def test_initial_weights_follow_the_seed() -> None:
    """The same seed gives the same row, another seed another."""
    layout = Layout((3, 2), 4)
    assert layout.initial(seed=1).tobytes() == layout.initial(seed=1).tobytes()
    assert layout.initial(seed=1).tobytes() != layout.initial(seed=2).tobytes()


@pytest.mark.parametrize("units", [(3,), (5, 2)])
def test_growing_an_initial_state_gives_the_larger_initial_state(units: tuple[int, ...]) -> None:
    """What a class starts with does not depend on when room was made for it."""
    small, large = Layout(units, 4), Layout(units, 16)
    grown = small.grow(small.initial(seed=3), large, seed=3)
    assert large.initial(seed=3).tobytes() == grown.tobytes()


def test_growing_keeps_what_was_learned() -> None:
    """Weights, moments, count and states of before are all there, next to fresh classes."""
    small, large = Layout((5, 2), 4), Layout((5, 2), 8)
    state = np.arange(small.row_size, dtype=np.float32)
    grown = small.grow(state, large, seed=3)
    shared, by_class = large.learned(grown)
    expected_shared, expected_by_class = small.learned(state)
    assert np.array_equal(expected_shared, shared)
    assert np.array_equal(expected_by_class, by_class[:, :4])
    assert np.array_equal(state[-15:], grown[-15:])
    assert np.array_equal(large.learned(large.initial(seed=3))[1][:, 4:], by_class[:, 4:])


def test_a_class_that_is_reset_starts_as_initially() -> None:
    """Only its own line changes, in place: initial weights, zero moments."""
    layout = Layout((3,), 4)
    state = np.full(layout.row_size, 9, np.float32)
    layout.reset_class(state, 2, seed=5)
    shared, by_class = layout.learned(state)
    assert np.array_equal(layout.learned(layout.initial(seed=5))[1][:, 2], by_class[:, 2])
    by_class[:, 2] = 9
    assert (state == 9).all()
    assert (shared == 9).all()


def test_states_are_reset_in_place() -> None:
    """The left-edge states are zero after a break; what was learned stays."""
    layout = Layout((3, 2), 4)
    state = np.ones(layout.row_size, np.float32)
    layout.reset_states(state)
    assert [1] * (layout.row_size - 10) + [0] * 10 == state.tolist()
