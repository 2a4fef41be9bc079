"""A table of n-grams, the simple and honest predictor beside processes and logs: it counts what followed what.

The prediction is the value that followed the longest known context most often, of equally frequent ones the latest. A
context is the last values of one stream, up to ``ORDER``, and its beginning; counts are over all streams.
"""

from collections import defaultdict
from collections.abc import Sequence

from online_lstm.devtools.sample_data import Element

ORDER = 4
_BEGIN = float("-inf")


def ngram_hits(elements: Sequence[Element]) -> list[bool]:
    """Return whether each element was predicted, before it was counted.

    >>> ngram_hits([Element(value) for value in (1, 2, 1, 2, 1, 2)])
    [False, False, False, True, True, True]
    """
    followers: defaultdict[tuple[float, ...], dict[float, int]] = defaultdict(dict)
    histories: dict[str | None, tuple[float, ...]] = {}
    hits = []
    for element in elements:
        history = histories.get(element.key, (_BEGIN,))
        contexts = [history[len(history) - order :] for order in range(min(ORDER, len(history)) + 1)]
        counts = next((followers[context] for context in reversed(contexts) if context in followers), {})
        # a value that is counted moves to the end, so the last of the maxima is the latest
        best = max(reversed(counts), key=counts.__getitem__, default=None)
        hits.append(best == element.value)
        for context in contexts:
            counted = followers[context]
            counted[element.value] = counted.pop(element.value, 0) + 1
        histories[element.key] = (*history, element.value)[-ORDER:]
    return hits
