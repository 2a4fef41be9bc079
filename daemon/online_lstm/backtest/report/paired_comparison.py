"""Statistical comparison of two backtests: which one was better, by how much, and whether by more than chance.

Hits, or errors, are compared by the ``blocks`` of the reports, non-overlapping parts of the input. With d the
difference of a block, n its predictions and r = sum d / sum n, the standard error of r over N blocks is

    sqrt(N / (N - 1) sum (d - r n)^2) / sum n

(the method of batch means; Cochran, Sampling Techniques, 1977, for the ratio). Blocks of one
prediction make it the test of McNemar; longer blocks allow for correlated neighbours. If the reports were scored at
different values, the blocks of each report yield a standard error of their own, and the two are taken as independent.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from online_lstm.observability.assessment import FEW

Report = Mapping[str, Any]
_NAMES = {"hit_rate": "hits", "mean_absolute_error": "errors", "mean_absolute_error_ratio": "errors"}
"""Name of the figures in the blocks, by the measure of the curve."""


MIN_BLOCKS = 20
"""Minimum number of blocks for a conclusion; with many components and horizons, few blocks have many predictions."""


class ComparisonResult(NamedTuple):
    """The result: a sentence; ``better``, which is A, B or empty; and B minus A with two standard errors.

    ``paired`` is true if both reports were scored at the same values.
    """

    text: str
    better: str | None = None
    difference: float | None = None
    margin: float | None = None
    paired: bool | None = None


def has_blocks(report: Report) -> bool:
    """Return whether an untrusted report has valid blocks for a comparison."""
    blocks, name = report["blocks"], _NAMES.get(str(report["curve"].get("measure")), "hits")
    events, counts, worth = (blocks.get(each) for each in ("events", "predictions", name))
    if not (isinstance(events, list) and isinstance(counts, list) and isinstance(worth, list)):
        return False
    min_blocks = 1 if report["scored"] else 0
    return min_blocks <= len(events) == len(counts) == len(worth) and all(
        type(event) is type(count) is int and count > 0 and (one is None or type(one) in (int, float))
        for event, count, one in zip(events, counts, worth, strict=True)
    )


def compare_paired(a: Report, b: Report) -> ComparisonResult:
    """Compare two reports of the same input and task."""
    if min(a["scored"], b["scored"]) < FEW or min(len(one["blocks"]["events"]) for one in (a, b)) < MIN_BLOCKS:
        return ComparisonResult("Too little to tell: too few predictions could be judged.")
    measure = a["curve"]["measure"]
    if measure != b["curve"]["measure"]:
        return ComparisonResult("They cannot be compared: their errors are not in the same unit.")
    of_a, of_b = _totals(a), _totals(b)
    if of_a is None or of_b is None:
        return ComparisonResult("They cannot be compared: there are errors that are not known.")
    paired = a["blocks"]["events"] == b["blocks"]["events"] and of_a[1] == of_b[1]
    if paired:
        error = standard_error([y - x for x, y in zip(of_a[0], of_b[0], strict=True)], of_a[1])
    else:
        error = math.hypot(standard_error(*of_a), standard_error(*of_b))
    levels = {name: sum(totals) / sum(counts) for name, (totals, counts) in (("A", of_a), ("B", of_b))}
    difference, margin = levels["B"] - levels["A"], 2 * error
    gain = difference if measure == "hit_rate" else -difference
    better = None if abs(gain) <= margin else "B" if gain > 0 else "A"
    text = f"{_standing(measure, levels, better)} {_chance(measure, levels, margin, better)}"
    if not paired:
        text += " They were not judged at the same values and are taken as independent: the margin is rather too wide."
    return ComparisonResult(text, better, difference, margin, paired)


def standard_error(totals: Sequence[float], counts: Sequence[int]) -> float:
    """Return the standard error of the sum of totals divided by the sum of counts, from at least two blocks.

    >>> standard_error([1, 0, 1, 0], [1, 1, 1, 1]), standard_error([2, 4, 6], [1, 2, 3])
    (0.28867513459481287, 0.0)
    """
    blocks, whole = len(totals), sum(counts)
    ratio = sum(totals) / whole
    squares = math.fsum((total - ratio * count) ** 2 for total, count in zip(totals, counts, strict=True))
    return math.sqrt(blocks / (blocks - 1) * squares) / whole


def _totals(report: Report) -> tuple[list[float], list[int]] | None:
    """Return the total and the number of predictions of each block; None if a figure is unknown."""
    blocks = report["blocks"]
    worth, counts = blocks[_NAMES[report["curve"]["measure"]]], blocks["predictions"]
    if None in worth:
        return None
    if "hits" in blocks:
        return worth, counts
    return [error * count for error, count in zip(worth, counts, strict=True)], counts


def _standing(measure: str, levels: Mapping[str, float], better: str | None) -> str:
    """Describe the levels of both reports, the better one first."""
    (name, level), (other, less) = sorted(levels.items(), key=lambda pair: pair[1], reverse=measure == "hit_rate")
    beginning = f"{better} was better" if better else "Neither was clearly better"
    if measure == "hit_rate":
        return f"{beginning}: {_percent(level)} of the predictions of {name} were right, {_percent(less)} of {other}."
    if measure == "mean_absolute_error":
        return f"{beginning}: {name} was off by {level:.4g} on average, {other} by {less:.4g}."
    return (
        f"{beginning}: {name} was off by {_percent(level)} of the values' size on average, {other} by {_percent(less)}."
    )


def _chance(measure: str, levels: Mapping[str, float], margin: float, better: str | None) -> str:
    """Describe the difference and the margin of chance; a difference of errors as a share of the larger error."""
    unit, size = ("points", 1.0) if measure == "hit_rate" else ("%", max(levels.values()))
    gain = abs(levels["A"] - levels["B"])
    if not gain:
        return "There is no difference."
    text = f"The difference is {100 * gain / size:.2g} {unit}"
    return (
        f"{text}, {'more than' if better else 'no more than'} chance would give (± {100 * margin / size:.2g} {unit})."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
