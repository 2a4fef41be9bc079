"""The mixture of the symbol experts: one distribution from the distributions of LSTM and suffix memories.

The method is context mixing, as in PAQ. Let S be the n values that any expert names, p_i(s) the probability that
expert i gives to s in S, and r_i the probability that expert i leaves for all values that it does not name. r_i is
divided evenly among the values of S that expert i does not name and one further value. Then

    l_i(s) = log(0.003 / n + 0.997 p_i(s))       p(s | S) proportional to exp(sum over i of w_i l_i(s))
    o_i    = log odds of b(r_i)                  r = sigmoid(sum over i of v_i o_i)

where b(x) = 0.0001 + 0.9998 x. r is the probability of a value that no expert names, and p(s) = (1 - r) p(s | S).
The weights are w_i = W_i + U_(q,i), at least 0.05. The weights v_i, at least 0, are sums of the same form. q is the
mixing context: the length of the longest known context, in powers of 2, and which experts have the same favourite.
After a value y in S, W_i moves by ``mixing_rate`` g_i and U_(q,i) by ``mixing_context_rate`` (1 + 20 / (1 + m)) g_i,
where m is the number of earlier visits of q and g_i = l_i(y) - sum over S of p(s | S) l_i(s). After every value, the
parts of v_i move in the same way, with ((1 if y is not in S, else 0) - r) o_i in place of g_i. These are gradient steps
on the logarithmic loss (Mattern, "Mixing strategies in data compression", 2012), with large steps while little is
known.

The output is calibrated. The likeliest value of S gets the mean of b(p(s)) and of the frequency with which likeliest
values of such a probability came; all other values share the rest in proportion (a stage of secondary estimation;
Mahoney, "Adaptive weighing of context models for lossless data compression", 2005).
"""

import numpy as np

from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.learning.symbol import mixture_kernels as kernels
from online_lstm.learning.symbol.expert_inputs import ExpertBeliefs, ModelBeliefs, ObservedRun
from online_lstm.learning.symbol.mixture_kernels import CALIBRATED, STEP, Mixed, Mixer
from online_lstm.learning.symbol.suffix_kernels import MIN_NAMED, ORDERS
from online_lstm.settings import Settings

# by model scope: the LSTM of one stream learns slowly at first, with confident errors; a shared one may be trained
FIRST_LSTM_WEIGHT = {"stream": 0.1, "partition": 0.6}
_DEPTHS = np.array([0, 0, *(order.bit_length() for order in ORDERS)], np.int64)  # by the longest known context
OWN: frozenset[str] = frozenset()
"""The arrays that a stream has of its own if streams share what they learn."""
_NAMES = ["mixer_" + name for name in Mixer._fields]


def fields(experts: int, scope: str = "stream") -> dict[str, ArraySpec]:
    """Describe the arrays of one stream with this many experts; ``scope`` says who shares the LSTM's weights."""
    of_lstm = FIRST_LSTM_WEIGHT[scope]
    of_memory = (1 - of_lstm) / (experts - 1)
    situations = (1 + int(_DEPTHS.max())) << len(_pairs(experts))
    weights = ArraySpec((experts,), "float64", (of_lstm, *[of_memory] * (experts - 1)))
    corrections = ArraySpec((situations, experts), "float64")
    odds = STEP * (np.arange(CALIBRATED) - CALIBRATED // 2)
    described = {
        "weights": weights,
        "corrections": corrections,
        "rest_weights": weights,
        "rest_corrections": corrections,
        "visits": ArraySpec((situations,), "int64"),
        "calibration": ArraySpec((CALIBRATED,), "float64", tuple((1 / (1 + np.exp(-odds))).tolist())),
        "calibration_samples": ArraySpec((CALIBRATED,), "int64"),
    }
    return {name: described[field] for name, field in zip(_NAMES, Mixer._fields, strict=True)}


def mix(
    row: ArrayViews,
    run: ObservedRun,
    beliefs: tuple[ModelBeliefs, ExpertBeliefs],
    settings: Settings,
    *,
    pending: bool,
    shared: bool = False,
) -> Mixed:
    """Mix the experts' predictions of each event, and learn from each event before mixing the next.

    Args:
        row: The arrays of the stream, written to.
        run: The events.
        beliefs: The predictions of the LSTM and of the memories in the mixture.
        settings: The number of values to list, the learning rates, and whether to learn.
        pending: Whether the first event has a pending prediction; without one, nothing is learned from that event.
        shared: Whether to write the whole prediction of the next event, for a stream that shares what it learns.
    """
    codes, expected = beliefs
    count, experts = len(run.ids), 1 + expected.rest.shape[1]
    mixed = Mixed(
        np.full((count + 1, settings.top_k), -1, np.int32),
        np.zeros((count + 1, settings.top_k)),
        np.zeros(count),
        np.zeros((count + 1, experts)),
        np.zeros((count, experts)),
        np.zeros((1 + experts, expected.probabilities.shape[2] + 1) if shared else (0, 0)),
    )
    first = count if not settings.learn else 0 if pending else 1
    favourites = np.column_stack([codes.ranked(1)[0], expected.favourites])
    situations = _DEPTHS[expected.depths]
    for one, other in _pairs(experts):
        situations = 2 * situations + (favourites[:, one] == favourites[:, other])
    kernels.mix(
        Mixer(*[row[name] for name in _NAMES]),
        (codes, expected, MIN_NAMED),
        (situations, np.where(run.fresh, np.int32(-1), run.ids), first),
        (settings.mixing_rate, settings.mixing_context_rate),
        mixed,
    )
    return mixed


def _pairs(experts: int) -> list[tuple[int, int]]:
    return [(one, other) for other in range(experts) for one in range(other)]
