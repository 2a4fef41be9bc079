"""The assessment: one sentence on whether the predictions are good, at the top of the live page and of a report.

The module reads the state of the dashboard over all partitions, or the figures of a backtest. It claims no more than
the figures show: "better" means significant at two standard errors.
"""

import math
from collections.abc import Mapping
from typing import Any

RULES: Mapping[str, str] = {
    "last_value": "repeating the last value",
    "most_frequent": "always saying the most frequent value",
    "suffix_memory": "looking up what followed before",
    "seasonal_naive": "the value of a season ago",
}
"""Descriptions of the baselines."""
FEW = 100
"""Minimum number of predictions for a conclusion."""
MIN_MARGIN = 0.01
"""Minimum gain that is reported as a gain, even if a smaller one is significant."""
SILENT_S = 60.0
"""Seconds after which a stream is silent, or ten times the typical gap between two batches."""

STOPPING = ("keys_never_return", "nothing_readable", "all_missing")
"""Hints under which the predictions of a partition are meaningless."""

Assessment = dict[str, str]
"""``text``, and its ``mood``: good, warn, bad, or empty."""


def assess_live(state: Mapping[str, Any]) -> Assessment:
    """Assess a running daemon, from the state of ``online_lstm.observability.dashboard``."""
    if stopping := _stopping(state):
        return _assessment("bad", f"{stopping[0].upper()}{stopping[1:]}.")
    if state["scored"] == 0:
        return _assessment("warn", _beginning(state))
    if state["silent_s"] is not None and state["lag_records"]:
        waiting = f"{state['lag_records']:,} values wait, and none was learned for {duration(state['silent_s'])}."
        return _assessment("bad", waiting)
    standing = _standing(state)
    if state["silent_s"] is not None:
        silent = f"No input is arriving: the last value came {duration(state['silent_s'])} ago."
        return _assessment("warn", f"{silent} How it stood then: {standing['text'][0].lower()}{standing['text'][1:]}")
    return standing


def assess_backtest(figures: Mapping[str, Any]) -> Assessment:
    """Assess the predictions of a whole input, from the figures of ``backtest --json``."""
    scored = figures["scored"]
    if not scored:
        return _assessment("", "Nothing was scored, so there is nothing to tell.")
    if scored < FEW:
        return _assessment("", f"Too little to tell: only {_count(scored, 'prediction')} could be judged.")
    of, over = _count(scored, "prediction"), {"young": False, "earlier": None}
    relative = figures.get("mean_absolute_error") is None
    error = figures.get("mean_absolute_error_ratio" if relative else "mean_absolute_error")
    if error is None:
        return _of_hits({**figures, **over}, of)
    baselines = figures["baseline_mean_absolute_errors"]
    numbers = {"relative": relative, "error": error, "baseline_errors": baselines}
    numbers |= {"skill": figures["skill"], "skill_error": figures["skill_error"]}
    return _of_numbers({**figures, **over, "numbers": numbers}, of)


def duration(seconds: float) -> str:
    """Format a duration.

    >>> duration(59.6), duration(600), duration(9000)
    ('60 s', '10 min', '2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _stopping(state: Mapping[str, Any]) -> str:
    """Return the hint why nothing is predicted, in all partitions or in those without a score; else empty."""
    for name in STOPPING:
        texts = [hint["text"] for hint in state["hints"] if hint["name"] == name]
        if texts and (state["scored"] == 0 or len(texts) == state["partitions"]):
            return str(texts[0])
    return ""


def _beginning(state: Mapping[str, Any]) -> str:
    if not state["events"]:
        return "Waiting for the first value: no input has arrived yet."
    return f"It has just begun: {_count(state['events'], 'value')} came, and no prediction could be judged yet."


def _standing(state: Mapping[str, Any]) -> Assessment:
    since = state["since_drift"]
    # one label learner serves all streams of a partition
    alone = state["partitions" if state["task"] == "label" else "streams"] == 1
    if since and alone and since["scored"] < state["scored"] * state["channels"]:
        share = since["hits"] / since["scored"] if since["scored"] else None
        share_text = "" if share is None else f": {_percent(share)} of the predictions since were right"
        changed = f"The stream changed {_count(since['events'], 'value')} ago and is being relearned"
        return _assessment("warn", f"{changed}{share_text}.")
    of = f"the last {_count(state['scored'], 'prediction')}"
    return _of_numbers(state, of) if state["numbers"] else _of_hits(state, of)


def _of_hits(figures: Mapping[str, Any], of: str) -> Assessment:
    own, rates, errors = figures["hit_rate"], figures["baseline_hit_rates"], figures["lift_errors"]
    name = max(rates, key=rates.__getitem__)
    best, rule = rates[name], _rule(name, figures["task"])
    result = f"{_percent(own)} of {of} were right"
    would = f"{rule} would have had {_percent(best)}"
    if figures["scored"] < FEW:
        return _assessment("warn", f"Still learning: {result}; {would}.")
    margin = _margin(errors[name])
    if own - best > margin:
        return _assessment("good", f"It works: {result}; {would}.")
    simple = {other: rate for other, rate in rates.items() if other != "suffix_memory"}
    second = max(simple, key=simple.__getitem__)
    if own - best >= -margin and own - simple[second] > _margin(errors[second]):
        others = f"{_rule(second, figures['task'])} would have had {_percent(simple[second])}"
        return _assessment("good", f"It works: {result}, about as many as by {rule}; {others}.")
    before = figures["earlier"]["hit_rate"] if figures["earlier"] else None
    if figures["young"] or (before is not None and own - before > _margin_of_times(own, before, figures["scored"])):
        since = "" if before is None else f", up from {_percent(before)}"
        return _assessment("warn", f"Still learning: {result}{since}; {would}.")
    if own - best < -margin:
        return _assessment("bad", f"Worse than a simple rule: {result}; {would}.")
    return _assessment("warn", f"No better than {rule}, which has {_percent(best)}: {result}.")


def _of_numbers(figures: Mapping[str, Any], of: str) -> Assessment:
    numbers = figures["numbers"]
    baselines, skill = numbers["baseline_errors"], numbers["skill"]
    if numbers["relative"]:  # with several components, each has its own best baseline
        result = f"{of} were off by {_percent(numbers['error'])} of the values' size on average"
        less = "as much" if skill is None else f"{_percent(abs(skill))} {'less' if skill > 0 else 'more'}"
        would = f"{less} than by the best simple rule of each number"
        rule = "the simple rules"
    else:
        name = min(baselines, key=baselines.__getitem__)
        rule = _rule(name, figures["task"])
        result = f"{of} were off by {numbers['error']:.4g} on average"
        would = f"{rule} would have been off by {baselines[name]:.4g}"
    margin = _margin(numbers["skill_error"])
    if figures["scored"] >= FEW and skill is not None and skill > margin:
        return _assessment("good", f"It works: {result}; {would}.")
    before = figures["earlier"]["error"] if figures["earlier"] else None
    falling = before is not None and numbers["error"] < (1 - _share_of_errors(figures["scored"])) * before
    if figures["scored"] < FEW or figures["young"] or falling:
        return _assessment("warn", f"Still learning: {result}; {would}.")
    if skill is None or skill >= -margin:
        return _assessment("warn", f"No better than {rule}: {result}; {would}.")
    return _assessment("bad", f"Worse than a simple rule: {result}; {would}.")


def _margin(error: float | None) -> float:
    """Return the margin of chance for a difference on the same predictions, from its standard error.

    The margin is two standard errors, at least a hundredth; infinite if the error is unknown.
    """
    return math.inf if error is None else max(MIN_MARGIN, 2 * error)


def _margin_of_times(rate: float, before: float, scored: int) -> float:
    """Return the margin of chance for hit rates at two times, each over ``scored`` different predictions."""
    return _margin(math.sqrt((rate * (1 - rate) + before * (1 - before)) / scored))


def _share_of_errors(scored: int) -> float:
    """Return the relative margin for mean errors at two times, if the spread of errors equals their mean."""
    return _margin(math.sqrt(2 / scored))


def _assessment(mood: str, text: str) -> Assessment:
    return {"mood": mood, "text": text}


def _rule(name: str, task: str) -> str:
    rule = RULES[name]
    return rule.replace("value", "label") if task == "label" else rule


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
