import numpy as np
import pytest
from online_lstm.learning.network.replay_buffer import STRIDE, ReplayBuffer, buffer_capacity, sample_window

WINDOW, STATES = 3, 2


def past_of(history: int) -> ReplayBuffer:
    kept = buffer_capacity(history)
    return ReplayBuffer(0, np.full((kept, WINDOW + 1), -1, np.int32), np.zeros((kept, STATES), np.float32))


def take(past: ReplayBuffer, count: int) -> ReplayBuffer:
    """Let so many events come, event e with the window e-3, e-2, e-1, e and the states e, e."""
    events = past.events + 1 + np.arange(count)
    past.keep((events[:, None] + np.arange(-WINDOW, 1)).astype(np.int32), np.repeat(events[:, None], STATES, 1))
    return ReplayBuffer(past.events + count, past.windows, past.states)


def test_what_is_drawn_does_not_depend_on_the_call() -> None:
    """An event draws by its number, whatever is drawn with it."""
    whole = sample_window(5, 1, 300, 100)
    assert whole.tolist() == [sample_window(5, event, 1, 100)[0] for event in range(1, 301)]
    assert whole[70:100].tolist() == sample_window(5, 71, 30, 100).tolist()


def test_what_is_drawn_follows_the_seed() -> None:
    """Another seed draws others."""
    assert sample_window(5, 1, 300, 100).tolist() != sample_window(6, 1, 300, 100).tolist()


def test_a_drawn_event_came_before_and_not_too_long_ago() -> None:
    """It is one whose window is kept, at most the history and a stride back."""
    events = np.arange(1, 5001)
    drawn = sample_window(0, 1, 5000, 320)
    assert not (drawn % STRIDE).any()
    assert (drawn < events).all()
    assert (drawn >= events - 320 - STRIDE).all()
    assert not drawn[: STRIDE - 1].any()


def test_recent_events_are_drawn_oftener() -> None:
    """A quarter of the way back takes half of all draws: the age is a square."""
    ages = np.arange(10_001, 30_001) - sample_window(1, 10_001, 20_000, 1600)
    assert 0.48 < (ages <= 400 + STRIDE / 2).mean() < 0.52
    assert 0.84 < (ages <= 1225 + STRIDE / 2).mean() < 0.91


@pytest.mark.parametrize("events_a_call", [1, 7, 64])
def test_what_is_drawn_is_at_its_place(events_a_call: int) -> None:
    """Before every call, a drawn event of before it finds its own window, or a blank place while there is none."""
    past = past_of(100)
    for _ in range(0, 500, events_a_call):
        for event in sample_window(3, past.events + 1, events_a_call, 100).tolist():
            if event <= past.events:
                place = event // STRIDE % len(past.windows)
                codes = [event - 3, event - 2, event - 1, event] if event else [-1] * 4
                assert codes == past.windows[place].tolist()
                assert [event, event] == past.states[place].tolist()
        past = take(past, events_a_call)


@pytest.mark.parametrize("history", [1, 40, 1500])
def test_what_is_kept_does_not_depend_on_the_call(history: int) -> None:
    """All at once or one by one, the same windows are at the same places."""
    at_once, singly = take(past_of(history), 203), past_of(history)
    for _ in range(203):
        singly = take(singly, 1)
    assert at_once.windows.tolist() == singly.windows.tolist()
    assert at_once.states.tolist() == singly.states.tolist()
    assert 203 // STRIDE * STRIDE == at_once.windows.max()


def test_a_forgotten_code_is_unknown_in_all_windows() -> None:
    """Nothing else changes."""
    past = take(past_of(100), 200)
    before = past.windows.copy()
    past.forget(before[1, 2])
    changed = before == before[1, 2]
    assert changed.any()
    assert not past.windows[changed].any()
    assert np.array_equal(before[~changed], past.windows[~changed])


def test_without_a_history_nothing_is_kept() -> None:
    """There is no place, and keeping does nothing."""
    assert 0 == len(take(past_of(0), 100).windows)


def test_no_window_is_drawn_that_is_younger_than_asked() -> None:
    """With any stride, from the first event on."""
    drawn = sample_window(5, 1, 3000, 1000, stride=64, youngest=64)
    assert (drawn <= np.maximum(np.arange(1, 3001) - 64, 0)).all()
    assert {0, 64, 128} <= set(drawn.tolist())
