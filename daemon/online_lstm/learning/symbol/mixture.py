"""The mixture of the experts: one distribution out of those of the LSTM and of the memories.

Let S be the n values that an expert names, p_i(s) the probability that expert i gives to s in S, and r_i what it
leaves for all that it does not name, which is shared out evenly among those of S and one more. Then

    l_i(s) = log(0.003 / n + 0.997 p_i(s))       p(s | S) proportional to exp(sum over i of w_i l_i(s))
    o_i    = log odds of b(r_i)                  r = sigmoid(sum over i of v_i o_i)

where b(x) = 0.0001 + 0.9998 x. r is the probability of a value that no expert names, and p(s) = (1 - r) p(s | S).
Weights are w_i = W_i + U_(q,i), at least 0.05, and v_i, at least 0, likewise, in a situation q: how long the longest
known context is, in powers of 2, and which experts have the same favourite.
After a value y in S, W_i moves by ``mixing_rate`` g_i and U_(q,i) by ``mixing_context_rate`` (1 + 20 / (1 + m)) g_i,
where m are the earlier visits of q and g_i = l_i(y) - sum over S of p(s | S) l_i(s); v_i likewise, with (1 if y is not
in S, else 0) - r times o_i. These are gradient steps on the logarithmic loss (Mattern, "Mixing strategies in data
compression", 2012), large ones where little is known yet.

What is published is calibrated: the likeliest value of S has the mean of b(p(s)) and of how often the likeliest values
of such a probability came, and all others share the rest in proportion (a stage of secondary estimation; Mahoney,
"Adaptive weighing of context models for lossless data compression", 2005).
"""

import numpy as np

from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.learning.symbol import mixture_kernels as kernels
from online_lstm.learning.symbol.expert_inputs import ExpertBeliefs, ModelBeliefs, ObservedRun
from online_lstm.learning.symbol.mixture_kernels import CALIBRATED, STEP, Mixed, Mixer
from online_lstm.learning.symbol.suffix_kernels import MIN_NAMED, ORDERS
from online_lstm.settings import Settings

# by who shares its weights: alone it is slow at the beginning, and surely wrong now and then; others may have taught it
FIRST_LSTM_WEIGHT = {"stream": 0.1, "partition": 0.6}
_DEPTHS = np.array([0, 0, *(order.bit_length() for order in ORDERS)], np.int64)  # by the longest known context
_NAMES = ["mixer_" + name for name in Mixer._fields]


def fields(experts: int, scope: str = "stream") -> dict[str, ArraySpec]:
    """Describe the arrays of one stream with so many experts; ``scope`` says who shares the weights of the LSTM."""
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
    row: ArrayViews, run: ObservedRun, told: tuple[ModelBeliefs, ExpertBeliefs], settings: Settings, *, pending: bool
) -> Mixed:
    """Mix what the experts expect of each event, and learn from one to the next.

    Args:
        row: The arrays of the stream, written to.
        run: The events.
        told: What the LSTM and the memories in the mixture expect.
        settings: They say how many values to list, the rates, and whether to learn.
        pending: Whether the first event had been predicted; else nothing is learned from it.
    """
    codes, expected = told
    count, experts = len(run.ids), 1 + expected.rest.shape[1]
    mixed = Mixed(
        np.full((count + 1, settings.top), -1, np.int32),
        np.zeros((count + 1, settings.top)),
        np.zeros(count),
        np.zeros((count + 1, experts)),
        np.zeros((count, experts)),
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
