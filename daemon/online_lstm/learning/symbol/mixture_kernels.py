"""Compiled inner loops of the mixture; ``online_lstm.learning.symbol.mixture`` has the formulas."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.symbol.expert_inputs import ExpertBeliefs, ModelBeliefs

MIN_WEIGHT, MAX_WEIGHT = 0.05, 2.0
FIRST_STEPS = 20  # the rate of a mixing context is (1 + FIRST_STEPS / (1 + visits)) times its final rate
SPREAD = 0.003  # share of an expert's probability that is spread evenly over S
PROBABILITY_MARGIN = 1e-4  # a probability that is used alone is kept this far from 0 and 1
STEP = 0.75  # distance between two calibrated probabilities, in log odds
CALIBRATED = 25
FIRST_SAMPLES, MAX_SAMPLES = 4, 200  # calibration moves by 1 / samples


class Mixer(NamedTuple):
    """The arrays of one stream, with E experts, Q mixing contexts and B calibrated probabilities."""

    weights: NDArray[np.float64]  # (E,): W
    corrections: NDArray[np.float64]  # (Q, E): U
    rest_weights: NDArray[np.float64]  # (E,): the same for v
    rest_corrections: NDArray[np.float64]  # (Q, E)
    visits: NDArray[np.int64]  # (Q,)
    calibration: NDArray[np.float64]  # (B,): how often the likeliest value came, by its log odds
    calibration_samples: NDArray[np.int64]  # (B,): events it was learned from, at most MAX_SAMPLES - FIRST_SAMPLES


class Mixed(NamedTuple):
    """The outputs of the mixer for a run; see ``online_lstm.learning.symbol.expert_inputs.Forecast``."""

    top: NDArray[np.int32]  # (K + 1, top)
    top_probabilities: NDArray[np.float64]  # (K + 1, top)
    probability: NDArray[np.float64]  # (K,)
    weights: NDArray[np.float64]  # (K + 1, E)
    bits: NDArray[np.float64]  # (K, E)
    coming: NDArray[np.float64]  # (1 + E, V + 1), or empty: the next event's probability and bits by value id


class Views(NamedTuple):
    """Working arrays for the mixing of one event: E experts, V value ids; candidates fill the first elements."""

    candidates: NDArray[np.int32]  # (V,): value ids
    beliefs: NDArray[np.float64]  # (E, V): by value id
    rests: NDArray[np.float64]  # (E,)
    logs: NDArray[np.float64]  # (E, V): l, by candidate
    odds: NDArray[np.float64]  # (E,): o
    mixture: NDArray[np.float64]  # (V,): p(s | S), by candidate
    published: NDArray[np.float64]  # (V,): calibrated output, by candidate


@compiled
def mix(
    mixer: Mixer,
    beliefs: tuple[ModelBeliefs, ExpertBeliefs, float],
    course: tuple[NDArray[np.int64], NDArray[np.int32], int],
    rates: tuple[float, float],
    mixed: Mixed,
) -> None:
    """Write ``mixed``, which the caller has initialised, and learn.

    Args:
        mixer: Written to.
        beliefs: Predictions of the LSTM and of the memories, and the probability up to which a memory names no value.
        course: The mixing contexts, int64 ``(K + 1,)``; the ids that came, -1 for a new value, int32 ``(K,)``; and the
            index of the first event to learn from.
        rates: Learning rates of W and of U.
        mixed: Written to.
    """
    codes, expected, max_unnamed = beliefs
    situations, values, first = course
    experts, size = len(mixer.weights), expected.probabilities.shape[2]
    views = Views(
        np.empty(size, np.int32),
        np.empty((experts, size)),
        np.empty(experts),
        np.empty((experts, size)),
        np.empty(experts),
        np.empty(size),
        np.empty(size),
    )
    for event in range(len(situations)):
        situation = situations[event]
        _spread_codes(codes, event, views.beliefs[0], views.rests)
        for kind in range(experts - 1):
            views.rests[1 + kind] = expected.rest[event, kind]
            kept = 1 - expected.rest[event, kind]
            _scale(expected.probabilities[event, kind], max_unnamed, kept, views.beliefs[1 + kind])
        named = _name_candidates(views.beliefs, views.rests, views.candidates)
        candidates, mixture, published = views.candidates[:named], views.mixture[:named], views.published[:named]
        mixed.weights[event] = np.maximum(mixer.weights + mixer.corrections[situation], MIN_WEIGHT)
        rest = _share_out(mixer, views, situation, mixed.weights[event], mixture)
        position, rest_published = _calibrate(mixer.calibration, mixture, rest, published)
        _list_top(published, candidates, mixed.top[event], mixed.top_probabilities[event])
        if event < len(values):
            came = _index_of(values[event], candidates)
            mixed.probability[event] = published[came] if came >= 0 else rest_published
            for expert in range(experts):
                own = views.beliefs[expert, values[event]] if came >= 0 else views.rests[expert]
                mixed.bits[event, expert] = -math.log2(_bounded(own))
            if event >= first:
                step = rates[1] * (1 + FIRST_STEPS / (1 + mixer.visits[situation]))
                mixer.visits[situation] += 1
                _learn_rest(mixer, situation, views.odds, (1.0 if came < 0 else 0.0) - rest, (rates[0], step))
                if came >= 0:
                    _learn_weights(mixer, situation, views.logs[:, :named], mixture, (came, (rates[0], step)))
                if named > 0:
                    right = 1.0 if came >= 0 and came == np.argmax(mixture) else 0.0
                    _learn_calibration(mixer.calibration, mixer.calibration_samples, position, right)
        elif len(mixed.coming) > 0:
            mixed.coming[0] = rest_published
            for index in range(named):
                mixed.coming[0, candidates[index]] = published[index]
            _write_bits(views.beliefs, views.rests, candidates, mixed.coming[1:])


@compiled
def _write_bits(
    beliefs: NDArray[np.float64], rests: NDArray[np.float64], candidates: NDArray[np.int32], bits: NDArray[np.float64]
) -> None:
    """Write each expert's surprise at each value id, and at any value that no expert names, which is last."""
    for expert in range(len(rests)):
        bits[expert] = -math.log2(_bounded(rests[expert]))
        for candidate in candidates:
            bits[expert, candidate] = -math.log2(_bounded(beliefs[expert, candidate]))


@compiled
def _bounded(probability: float) -> float:
    return PROBABILITY_MARGIN + (1 - 2 * PROBABILITY_MARGIN) * probability


@compiled
def _spread_codes(codes: ModelBeliefs, event: int, beliefs: NDArray[np.float64], rests: NDArray[np.float64]) -> None:
    """Write the predictions of the LSTM, by value id."""
    beliefs[:] = 0
    for code in range(1, codes.known[event]):
        beliefs[codes.ids[min(event, 1), code]] = codes.probabilities[event, code]
    rests[0] = codes.probabilities[event, 0]


@compiled
def _scale(probabilities: NDArray[np.float64], threshold: float, scale: float, beliefs: NDArray[np.float64]) -> None:
    for value in range(len(beliefs)):
        beliefs[value] = scale * probabilities[value] if probabilities[value] > threshold else 0.0


@compiled
def _name_candidates(beliefs: NDArray[np.float64], rests: NDArray[np.float64], candidates: NDArray[np.int32]) -> int:
    """Write the ids that any expert names, ascending, and the other experts' beliefs in them; return their number."""
    named = 0
    for value in range(beliefs.shape[1]):
        for expert in range(len(beliefs)):
            if beliefs[expert, value] > 0:
                candidates[named] = value
                named += 1
                break
    for expert in range(len(beliefs)):
        unnamed = 1
        for index in range(named):
            if beliefs[expert, candidates[index]] == 0:
                unnamed += 1
        for index in range(named):
            if beliefs[expert, candidates[index]] == 0:
                beliefs[expert, candidates[index]] = rests[expert] / unnamed
    return named


@compiled
def _index_of(value: int, candidates: NDArray[np.int32]) -> int:
    for index in range(len(candidates)):
        if candidates[index] == value:
            return index
    return -1


@compiled
def _share_out(
    mixer: Mixer, views: Views, situation: int, weights: NDArray[np.float64], mixture: NDArray[np.float64]
) -> float:
    """Write p(s | S) of the candidates and return r."""
    named = len(mixture)
    rest_score = 0.0
    for expert in range(len(weights)):
        rest = _bounded(views.rests[expert])
        views.odds[expert] = math.log(rest / (1 - rest))
        rest_weight = mixer.rest_weights[expert] + mixer.rest_corrections[situation, expert]
        rest_score += max(rest_weight, 0.0) * views.odds[expert]
        for index in range(named):
            belief = views.beliefs[expert, views.candidates[index]]
            views.logs[expert, index] = math.log(SPREAD / named + (1 - SPREAD) * belief)
    _normalise(weights, views.logs[:, :named], mixture)
    return 1 / (1 + math.exp(-rest_score))


@compiled
def _normalise(weights: NDArray[np.float64], logs: NDArray[np.float64], mixture: NDArray[np.float64]) -> None:
    highest, total = -np.inf, 0.0
    for index in range(len(mixture)):
        mixture[index] = 0
        for expert in range(len(weights)):
            mixture[index] += weights[expert] * logs[expert, index]
        highest = max(highest, mixture[index])
    for index in range(len(mixture)):
        mixture[index] = math.exp(mixture[index] - highest)
        total += mixture[index]
    for index in range(len(mixture)):
        mixture[index] /= total


@compiled
def _calibrate(
    calibration: NDArray[np.float64], mixture: NDArray[np.float64], rest: float, published: NDArray[np.float64]
) -> tuple[float, float]:
    """Write the calibrated probabilities of the candidates.

    Returns:
        The position of the likeliest candidate among the B calibrated probabilities, not rounded, and the output
        probability of all values that no expert named.
    """
    if len(mixture) == 0:
        return 0.0, rest
    best = np.argmax(mixture)
    others = rest
    for candidate in range(len(mixture)):
        if candidate != best:
            others += (1 - rest) * mixture[candidate]
    probability = _bounded((1 - rest) * mixture[best])
    position = math.log(probability / (1 - probability)) / STEP + CALIBRATED // 2
    position = min(max(position, 0.0), CALIBRATED - 1.0)
    below = min(int(position), CALIBRATED - 2)
    part = position - below
    calibrated = (1 - part) * calibration[below] + part * calibration[below + 1]
    likeliest = (probability + calibrated) / 2
    scale = (1 - likeliest) / others
    for candidate in range(len(mixture)):
        published[candidate] = scale * (1 - rest) * mixture[candidate]
    published[best] = likeliest
    return position, scale * rest


@compiled
def _list_top(
    published: NDArray[np.float64],
    candidates: NDArray[np.int32],
    top: NDArray[np.int32],
    probabilities: NDArray[np.float64],
) -> None:
    """Write the likeliest candidates; of equally likely candidates, the lower id is first."""
    listed = min(len(top), len(published))
    for rank in range(listed):
        best = -1
        for index in range(len(published)):
            # after the candidate listed last, and before the best candidate found so far
            ahead = (
                rank == 0
                or published[index] < probabilities[rank - 1]
                or (published[index] == probabilities[rank - 1] and candidates[index] > top[rank - 1])
            )
            if ahead and (best < 0 or published[index] > published[best]):
                best = index
        top[rank], probabilities[rank] = candidates[best], published[best]


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
        for index in range(len(mixture)):
            gradient -= mixture[index] * logs[expert, index]
        _move(mixer.weights, mixer.corrections[situation], expert, gradient, rates)


@compiled
def _move(
    weights: NDArray[np.float64],
    corrections: NDArray[np.float64],
    expert: int,
    gradient: float,
    rates: tuple[float, float],
) -> None:
    """Move a weight and its correction; each is at most ``MAX_WEIGHT``, and their sum is at least 0."""
    weights[expert] = min(max(weights[expert] + rates[0] * gradient, 0.0), MAX_WEIGHT)
    corrections[expert] = min(max(corrections[expert] + rates[1] * gradient, -weights[expert]), MAX_WEIGHT)


@compiled
def _learn_calibration(
    calibration: NDArray[np.float64], samples: NDArray[np.int64], position: float, right: float
) -> None:
    """Move the nearest calibrated probability."""
    nearest = int(position + 0.5)
    samples[nearest] = min(samples[nearest] + 1, MAX_SAMPLES - FIRST_SAMPLES)
    calibration[nearest] += (right - calibration[nearest]) / (samples[nearest] + FIRST_SAMPLES)
