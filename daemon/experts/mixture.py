"""The mixture of the experts: one distribution out of those of the LSTM and of the memories.

Let S be the values that an expert names, p_i(s) the probability that expert i gives to s in S, and r_i what it
leaves for all that it does not name, which is shared out evenly among those of S and one more. Then

    l_i(s) = log(1e-4 + 0.999 p_i(s))            p(s | S) proportional to exp(sum over i of w_i l_i(s))
    o_i    = log odds of r_i, bounded likewise   r = sigmoid(sum over i of v_i o_i)

r is the probability of a value that no expert names, and p(s) = (1 - r) p(s | S) is published. Weights are
w_i = W_i + U_(q,i) in a situation q: how long the longest known context is, and which memories have the LSTM's
favourite as theirs. After a value y in S, W_i moves by ``mixer_rate`` g_i and U_(q,i) by ``situation_rate`` g_i, where
g_i = l_i(y) - sum over S of p(s | S) l_i(s), cut to 3 in size; v_i likewise, with (1 if y is not in S, else 0) - r
times o_i. Both are gradient steps on the logarithmic loss (Mattern, "Mixing strategies in data compression", 2012).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.experts.jit import compiled
from daemon.experts.run import Codes, Expected, Run
from daemon.experts.suffix_kernels import LEAST_NAMED, ORDERS
from daemon.rows import Field, Row
from daemon.settings import Settings

DEPTHS = 5
FIRST_LSTM_WEIGHT = 0.1  # it is slow at the beginning, and surely wrong now and then
MOST_WEIGHT = 2.0
MOST_GRADIENT = 3.0
LEAST = 1e-4
NAMED = 0.999
_BUCKETS = np.array([0, *(min(order, 8) // 2 for order in ORDERS)], np.int64)


class Mixer(NamedTuple):
    """The arrays of one stream, with E experts and Q situations: W and U, and the same for v."""

    weights: NDArray[np.float64]  # (E,)
    corrections: NDArray[np.float64]  # (Q, E)
    rest_weights: NDArray[np.float64]  # (E,)
    rest_corrections: NDArray[np.float64]  # (Q, E)


_NAMES = ["mixer_" + name for name in Mixer._fields]


class Mixed(NamedTuple):
    """What a run of the mixer writes; see ``daemon.experts.run.Forecast``."""

    top: NDArray[np.int32]  # (K + 1, top)
    top_probabilities: NDArray[np.float64]  # (K + 1, top)
    probability: NDArray[np.float64]  # (K,)
    weights: NDArray[np.float64]  # (K + 1, E)
    bits: NDArray[np.float64]  # (K, E)


def fields(experts: int) -> dict[str, Field]:
    """Describe the arrays of one stream with so many experts."""
    of_memory = (1 - FIRST_LSTM_WEIGHT) / (experts - 1)
    weights = Field((experts,), "float64", (FIRST_LSTM_WEIGHT, *[of_memory] * (experts - 1)))
    corrections = Field((DEPTHS << (experts - 1), experts), "float64")
    return dict(zip(_NAMES, (weights, corrections, weights, corrections), strict=True))


def mix(row: Row, run: Run, told: tuple[Codes, Expected], settings: Settings, *, pending: bool) -> Mixed:
    """Mix what the experts expect of each event, and learn from one to the next.

    Args:
        row: The arrays of the stream, written to.
        run: The events.
        told: What the LSTM and the memories in the mixture expect.
        settings: They say how many values to list, and the rates.
        pending: Whether the first event had been predicted; else nothing is learned from it.
    """
    codes, expected = told
    count, memories = len(run.ids), expected.rest.shape[1]
    mixed = Mixed(
        np.full((count + 1, settings.top), -1, np.int32),
        np.zeros((count + 1, settings.top)),
        np.zeros(count),
        np.zeros((count + 1, 1 + memories)),
        np.zeros((count, 1 + memories)),
    )
    favourites, _ = codes.ranked(1)
    agreement = (expected.favourites == favourites) @ (1 << np.arange(memories))
    _mix(
        Mixer(*[row[name] for name in _NAMES]),
        (codes, expected, LEAST_NAMED),
        (
            (_BUCKETS[expected.depths] << memories) + agreement,
            np.where(run.fresh, np.int32(-1), run.ids),
            0 if pending else 1,
        ),
        (settings.mixer_rate, settings.situation_rate),
        mixed,
    )
    return mixed


class Views(NamedTuple):
    """What is thought of one event while it is mixed: E experts, V value ids, the first of them candidates."""

    candidates: NDArray[np.int32]  # (V,): value ids
    beliefs: NDArray[np.float64]  # (E, V): by value id
    rests: NDArray[np.float64]  # (E,)
    logs: NDArray[np.float64]  # (E, V): l, by candidate
    odds: NDArray[np.float64]  # (E,): o
    mixture: NDArray[np.float64]  # (V,): by candidate


@compiled
def _mix(
    mixer: Mixer,
    told: tuple[Codes, Expected, float],
    course: tuple[NDArray[np.int64], NDArray[np.int32], int],
    rates: tuple[float, float],
    mixed: Mixed,
) -> None:
    """Write ``mixed``, which comes as zeros.

    Args:
        mixer: Written to.
        told: What the LSTM and the memories say, and what probability of theirs names nothing.
        course: The situations, int64 ``(K + 1,)``, the ids that came, -1 for a new one, int32 ``(K,)``, and the first
            event that is learned from.
        rates: Of W and of U.
        mixed: Written to.
    """
    codes, expected, least_named = told
    situations, values, first = course
    experts, size = len(mixer.weights), expected.probabilities.shape[2]
    views = Views(
        np.empty(size, np.int32),
        np.empty((experts, size)),
        np.empty(experts),
        np.empty((experts, size)),
        np.empty(experts),
        np.empty(size),
    )
    for event in range(len(situations)):
        _tell(codes, event, views.beliefs[0], views.rests)
        for kind in range(experts - 1):
            views.rests[1 + kind] = expected.rest[event, kind]
            kept = 1 - expected.rest[event, kind]
            _scale(expected.probabilities[event, kind], least_named, kept, views.beliefs[1 + kind])
        named = _name_candidates(views.beliefs, views.rests, views.candidates)
        candidates, mixture = views.candidates[:named], views.mixture[:named]
        mixed.weights[event] = mixer.weights + mixer.corrections[situations[event]]
        rest = _share_out(mixer, views, situations[event], mixed.weights[event], mixture)
        _list_top(mixture, candidates, mixed.top[event], mixed.top_probabilities[event])
        mixed.top_probabilities[event] *= 1 - rest
        if event < len(values):
            came = _place_of(values[event], candidates)
            mixed.probability[event] = (1 - rest) * mixture[came] if came >= 0 else rest
            for expert in range(experts):
                own = views.beliefs[expert, values[event]] if came >= 0 else views.rests[expert]
                mixed.bits[event, expert] = -math.log2(LEAST + NAMED * own)
            if event >= first:
                _learn_rest(mixer, situations[event], views.odds, (1.0 if came < 0 else 0.0) - rest, rates)
            if event >= first and came >= 0:
                _learn_weights(mixer, situations[event], views.logs[:, :named], mixture, (came, rates))


@compiled
def _share_out(
    mixer: Mixer, views: Views, situation: int, weights: NDArray[np.float64], mixture: NDArray[np.float64]
) -> float:
    """Write p(s | S) of the candidates, give r."""
    rest_score = 0.0
    for expert in range(len(weights)):
        rest = views.rests[expert]
        views.odds[expert] = math.log((LEAST + NAMED * rest) / (LEAST + NAMED * (1 - rest)))
        rest_weight = mixer.rest_weights[expert] + mixer.rest_corrections[situation, expert]
        rest_score += rest_weight * views.odds[expert]
        for place in range(len(mixture)):
            belief = views.beliefs[expert, views.candidates[place]]
            views.logs[expert, place] = math.log(LEAST + NAMED * belief)
    _normalise(weights, views.logs[:, : len(mixture)], mixture)
    return 1 / (1 + math.exp(-rest_score))


@compiled
def _learn_rest(
    mixer: Mixer, situation: int, odds: NDArray[np.float64], error: float, rates: tuple[float, float]
) -> None:
    for expert in range(len(odds)):
        _move(mixer.rest_weights, mixer.rest_corrections[situation], expert, error * odds[expert], rates)


@compiled
def _learn_weights(
    mixer: Mixer,
    situation: int,
    logs: NDArray[np.float64],
    mixture: NDArray[np.float64],
    came_and_rates: tuple[int, tuple[float, float]],
) -> None:
    came, rates = came_and_rates
    for expert in range(len(logs)):
        gradient = logs[expert, came]
        for place in range(len(mixture)):
            gradient -= mixture[place] * logs[expert, place]
        _move(mixer.weights, mixer.corrections[situation], expert, gradient, rates)


@compiled
def _tell(codes: Codes, event: int, beliefs: NDArray[np.float64], rests: NDArray[np.float64]) -> None:
    """Write what the LSTM says, by value id."""
    beliefs[:] = 0
    for code in range(1, codes.known[event]):
        beliefs[codes.ids[min(event, 1), code]] = codes.probabilities[event, code]
    rests[0] = codes.probabilities[event, 0]


@compiled
def _scale(probabilities: NDArray[np.float64], least: float, scale: float, beliefs: NDArray[np.float64]) -> None:
    for value in range(len(beliefs)):
        beliefs[value] = scale * probabilities[value] if probabilities[value] > least else 0.0


@compiled
def _name_candidates(beliefs: NDArray[np.float64], rests: NDArray[np.float64], candidates: NDArray[np.int32]) -> int:
    """Write the ids that an expert names, ascending, and what the others leave for them; give how many there are."""
    named = 0
    for value in range(beliefs.shape[1]):
        if beliefs[:, value].max() > 0:
            candidates[named] = value
            named += 1
    for expert in range(len(beliefs)):
        unnamed = 1
        for place in range(named):
            if beliefs[expert, candidates[place]] == 0:
                unnamed += 1
        for place in range(named):
            if beliefs[expert, candidates[place]] == 0:
                beliefs[expert, candidates[place]] = rests[expert] / unnamed
    return named


@compiled
def _place_of(value: int, candidates: NDArray[np.int32]) -> int:
    for place in range(len(candidates)):
        if candidates[place] == value:
            return place
    return -1


@compiled
def _move(
    weights: NDArray[np.float64],
    corrections: NDArray[np.float64],
    expert: int,
    gradient: float,
    rates: tuple[float, float],
) -> None:
    """Move a weight and its correction; neither is above ``MOST_WEIGHT``, and they are not negative together."""
    gradient = min(max(gradient, -MOST_GRADIENT), MOST_GRADIENT)
    weights[expert] = min(max(weights[expert] + rates[0] * gradient, 0.0), MOST_WEIGHT)
    corrections[expert] = min(max(corrections[expert] + rates[1] * gradient, -weights[expert]), MOST_WEIGHT)


@compiled
def _normalise(weights: NDArray[np.float64], logs: NDArray[np.float64], mixture: NDArray[np.float64]) -> None:
    most = -np.inf
    for place in range(len(mixture)):
        score = 0.0
        for expert in range(len(weights)):
            score += weights[expert] * logs[expert, place]
        mixture[place] = score
        most = max(most, score)
    total = 0.0
    for place in range(len(mixture)):
        mixture[place] = math.exp(mixture[place] - most)
        total += mixture[place]
    for place in range(len(mixture)):
        mixture[place] /= total


@compiled
def _list_top(
    mixture: NDArray[np.float64],
    candidates: NDArray[np.int32],
    top: NDArray[np.int32],
    probabilities: NDArray[np.float64],
) -> None:
    """Write the likeliest candidates, of equal ones the lower id first."""
    listed = min(len(top), len(mixture))
    for rank in range(listed):
        best = -1
        for place in range(len(mixture)):
            # behind the one listed last, and ahead of what was found so far
            ahead = (
                rank == 0
                or mixture[place] < probabilities[rank - 1]
                or (mixture[place] == probabilities[rank - 1] and candidates[place] > top[rank - 1])
            )
            if ahead and (best < 0 or mixture[place] > mixture[best]):
                best = place
        top[rank], probabilities[rank] = candidates[best], mixture[best]
