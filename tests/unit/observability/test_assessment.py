"""The sentence at the top of the page and of a report: true, and the one that matters most."""

import doctest
from typing import Any

import pytest
from online_lstm import significance
from online_lstm.events import BASELINES
from online_lstm.observability import assessment as module
from online_lstm.observability.assessment import RULES, STOPPING, assess_backtest, assess_live
from online_lstm.significance import paired_error

RATES = {"last_value": 0.1, "most_frequent": 0.2, "suffix_memory": 0.6}
NUMBERS = {
    "relative": False,
    "error": 725.118,
    "baseline_errors": {"last_value": 1500.0, "seasonal_naive": 1290.0},
    "skill": 0.438,
    "skill_error": 0.03,
    "interval_coverage": 0.9,
}
RIGHT = "of the last 1,000 predictions were right"
LOOKED_UP = "looking up what followed before would have had 60.0 %"
AS_MANY = (
    "about as many as by looking up what followed before; always saying the most frequent value would have had 20.0 %"
)
SILENT = "No input is arriving: the last value came 10 min ago. How it stood then:"
LESS = "43.8 % less than by the best simple rule of each number"
OFF = "the last 1,000 predictions were off by"
SEASONAL = "the value of a season ago would have been off by 1290"
SINCE = {"events": 37, "scored": 36, "hits": 12}


def told(**changed: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"task": "symbol", "events": 5000, "scored": 1000, "streams": 1, "lag_records": 0}
    usual |= {"hit_rate": 0.998, "baseline_hit_rates": RATES, "numbers": None, "silent_s": None, "since_drift": None}
    usual |= {"hints": [], "partitions": 1, "channels": 1, "lift_errors": dict.fromkeys(RULES, 0.01)}
    return {**usual, "earlier": {"hit_rate": 0.998, "error": None}, "young": False, **changed}


@pytest.mark.parametrize(
    ("changed", "mood", "text"),
    [
        (
            {},
            "good",
            f"It works: 99.8 % {RIGHT}; {LOOKED_UP}.",
        ),
        (
            {"task": "label", "hit_rate": 0.9, "baseline_hit_rates": {"last_value": 0.6, "most_frequent": 0.5}},
            "good",
            f"It works: 90.0 % {RIGHT}; repeating the last label would have had 60.0 %.",
        ),
        (
            {"baseline_hit_rates": RATES | {"suffix_memory": 0.996}},
            "good",
            f"It works: 99.8 % {RIGHT}, {AS_MANY}.",
        ),
        (
            {"scored": 0, "events": 0, "hit_rate": None},
            "warn",
            "Waiting for the first value: no input has arrived yet.",
        ),
        (
            {"scored": 0, "events": 1, "hit_rate": None},
            "warn",
            "It has just begun: 1 value came, and no prediction could be judged yet.",
        ),
        (
            {"scored": 40, "hit_rate": 0.5, "baseline_hit_rates": RATES},
            "warn",
            f"Still learning: 50.0 % of the last 40 predictions were right; {LOOKED_UP}.",
        ),
        (
            {"hit_rate": 0.61, "earlier": {"hit_rate": 0.3, "error": None}, "baseline_hit_rates": {"last_value": 0.6}},
            "warn",
            f"Still learning: 61.0 % {RIGHT}, up from 30.0 %; repeating the last value would have had 60.0 %.",
        ),
        (
            {"hit_rate": 0.4, "earlier": None, "young": True},
            "warn",
            f"Still learning: 40.0 % {RIGHT}; {LOOKED_UP}.",
        ),
        (
            {"hit_rate": 0.11, "baseline_hit_rates": {"last_value": 0.1, "suffix_memory": 0.12}},
            "warn",
            f"No better than looking up what followed before, which has 12.0 %: 11.0 % {RIGHT}.",
        ),
        (
            {"hit_rate": 0.5, "earlier": {"hit_rate": 0.5, "error": None}},
            "bad",
            f"Worse than a simple rule: 50.0 % {RIGHT}; {LOOKED_UP}.",
        ),
        (
            {"since_drift": SINCE},
            "warn",
            "The stream changed 37 values ago and is being relearned: 33.3 % of the predictions since were right.",
        ),
        (
            {"since_drift": {"events": 1, "scored": 0, "hits": 0}},
            "warn",
            "The stream changed 1 value ago and is being relearned.",
        ),
        (
            {"silent_s": 600.0},
            "warn",
            f"{SILENT} it works: 99.8 % {RIGHT}; {LOOKED_UP}.",
        ),
        ({"silent_s": 75.0, "lag_records": 1200}, "bad", "1,200 values wait, and none was learned for 75 s."),
        (
            {"task": "number", "numbers": NUMBERS},
            "good",
            f"It works: {OFF} 725.1 on average; {SEASONAL}.",
        ),
        (
            {"task": "number", "numbers": NUMBERS | {"relative": True, "error": 0.051}},
            "good",
            f"It works: {OFF} 5.1 % of the values' size on average; {LESS}.",
        ),
        (
            {"task": "number", "numbers": NUMBERS | {"error": 1289.0, "skill": 0.0008}},
            "warn",
            f"No better than the value of a season ago: {OFF} 1289 on average; {SEASONAL}.",
        ),
        (
            {"task": "number", "numbers": NUMBERS | {"error": 1500.0, "skill": -0.16}},
            "bad",
            f"Worse than a simple rule: {OFF} 1500 on average; {SEASONAL}.",
        ),
        (
            {
                "task": "number",
                "numbers": NUMBERS | {"error": 1500.0, "skill": -0.16},
                "earlier": {"hit_rate": 0.1, "error": 3000.0},
            },
            "warn",
            f"Still learning: {OFF} 1500 on average; {SEASONAL}.",
        ),
    ],
)
def test_it_says_what_matters_most(changed: dict[str, Any], mood: str, text: str) -> None:
    """Whether anything comes, then whether the stream changed, then whether it is better than a simple rule."""
    assert {"mood": mood, "text": text} == assess_live(told(**changed))


@pytest.mark.parametrize(("discordant", "mood"), [(20, "good"), (100, "good"), (101, "warn"), (480, "warn")])
def test_what_chance_would_give_is_not_called_better(discordant: int, mood: str) -> None:
    """Twenty hits more of 1,000 are a lot where both are right nearly always together, else nothing."""
    error = paired_error(20, discordant, events=1000, predictions=1000)
    rates, errors = {"last_value": 0.48, "most_frequent": 0.1}, {"last_value": error, "most_frequent": 0.02}
    said = assess_live(told(hit_rate=0.5, baseline_hit_rates=rates, lift_errors=errors, earlier=None))
    assert mood == said["mood"]


def test_who_is_always_right_is_not_better_for_that() -> None:
    """Three hits more of a hundred are chance, also where the own rate leaves nothing to chance."""
    few = told(hit_rate=1.0, scored=100, baseline_hit_rates={"last_value": 0.97}, earlier=None)
    few |= {"lift_errors": {"last_value": paired_error(3, 3, events=100, predictions=100)}}
    assert assess_live(few)["text"].startswith("No better than repeating the last value")
    many = few | {"scored": 1000, "lift_errors": {"last_value": paired_error(30, 30, events=1000, predictions=1000)}}
    assert "good" == assess_live(many)["mood"]


@pytest.mark.parametrize(
    ("skill", "error", "mood"),
    [(0.05, 0.02, "good"), (0.05, 0.03, "warn"), (0.009, 0.0, "warn"), (-0.05, 0.02, "bad"), (0.5, None, "warn")],
)
def test_a_skill_counts_when_the_errors_do_not_scatter_as_much(skill: float, error: float | None, mood: str) -> None:
    """Two standard errors of it; one that nobody knows proves nothing."""
    numbers = NUMBERS | {"skill": skill, "skill_error": error}
    assert mood == assess_live(told(task="number", numbers=numbers, earlier=None))["mood"]


def test_one_of_many_streams_that_changed_is_no_headline() -> None:
    """The others go on as before; and once all that is scored came after a change, it is over."""
    assert "good" == assess_live(told(since_drift=SINCE, streams=2))["mood"]
    whole = SINCE | {"scored": 1000, "hits": 998}
    assert "good" == assess_live(told(since_drift=whole))["mood"]
    assert "warn" == assess_live(told(since_drift=whole, channels=2))["mood"]  # 500 events of 1,000


def test_a_change_of_labels_is_that_of_their_partition() -> None:
    """Its sequences have one learner, however many of them are open; of several partitions others go on as before."""
    rates = {"last_value": 0.6, "most_frequent": 0.5}
    of_labels = told(task="label", streams=7, baseline_hit_rates=rates, since_drift=SINCE)
    assert assess_live(of_labels)["text"].startswith("The stream changed 37 values ago")
    assert "good" == assess_live({**of_labels, "partitions": 2})["mood"]


def test_every_baseline_has_its_words() -> None:
    """Whatever is the best one can be named."""
    assert {name for names in BASELINES.values() for name in names} == set(RULES)


def figures(**changed: Any) -> dict[str, Any]:
    """Make what ``backtest --json`` has, as far as the sentence needs it."""
    usual = {"task": "symbol", "scored": 1000, "hit_rate": 0.998, "baseline_hit_rates": RATES}
    return {**usual, "lift_errors": dict.fromkeys(RULES, 0.01), **changed}


ERRORS = {
    "task": "number",
    "skill": 0.438,
    "skill_error": 0.03,
    "mean_absolute_error": 725.118,
    "mean_absolute_error_ratio": 0.051,
    "baseline_mean_absolute_errors": {"last_value": 1500.0, "seasonal_naive": 1290.0},
}
OF_1000 = "1,000 predictions were"


@pytest.mark.parametrize(
    ("changed", "mood", "text"),
    [
        ({"scored": 0, "hit_rate": None}, "", "Nothing was scored, so there is nothing to tell."),
        ({"scored": 1}, "", "Too little to tell: only 1 prediction could be judged."),
        ({"scored": 99}, "", "Too little to tell: only 99 predictions could be judged."),
        ({}, "good", f"It works: 99.8 % of {OF_1000} right; {LOOKED_UP}."),
        (
            {"baseline_hit_rates": RATES | {"suffix_memory": 0.996}},
            "good",
            f"It works: 99.8 % of {OF_1000} right, {AS_MANY}.",
        ),
        ({"hit_rate": 0.5}, "bad", f"Worse than a simple rule: 50.0 % of {OF_1000} right; {LOOKED_UP}."),
        (
            {"task": "label", "hit_rate": 0.61, "baseline_hit_rates": {"last_value": 0.6, "most_frequent": 0.5}},
            "warn",
            f"No better than repeating the last label, which has 60.0 %: 61.0 % of {OF_1000} right.",
        ),
        (ERRORS, "good", f"It works: {OF_1000} off by 725.1 on average; {SEASONAL}."),
        (
            ERRORS | {"mean_absolute_error": None, "baseline_mean_absolute_errors": {"last_value": None}},
            "good",
            f"It works: {OF_1000} off by 5.1 % of the values' size on average; {LESS}.",
        ),
        (
            ERRORS | {"mean_absolute_error": 1500.0, "skill": -0.16},
            "bad",
            f"Worse than a simple rule: {OF_1000} off by 1500 on average; {SEASONAL}.",
        ),
        (
            ERRORS | {"mean_absolute_error": None, "mean_absolute_error_ratio": None, "skill": None},
            "good",
            f"It works: 99.8 % of {OF_1000} right; {LOOKED_UP}.",
        ),
    ],
)
def test_a_whole_input_is_told_with_the_same_words(changed: dict[str, Any], mood: str, text: str) -> None:
    """A report says no more than the page would, and of few predictions nothing."""
    assert {"mood": mood, "text": text} == assess_backtest(figures(**changed))


@pytest.mark.parametrize("tested", [module, significance])
def test_its_examples_are_right(tested: Any) -> None:
    """Those in the docstrings."""
    assert (0, True) == ((done := doctest.testmod(tested)).failed, done.attempted > 0)


@pytest.mark.parametrize("name", STOPPING)
@pytest.mark.parametrize(
    ("changed", "is_told"),
    [({}, True), ({"scored": 0, "partitions": 3}, True), ({"partitions": 3}, False)],
)
def test_a_hint_that_stops_everything_is_told_first(name: str, changed: dict[str, Any], is_told: bool) -> None:
    """Where all partitions have it, or nothing was ever predicted; else the others may be well."""
    hints = [{"partition": "numbers/0", "name": name, "text": "no key came twice"}]
    said = assess_live(told(hints=hints, **changed))
    assert is_told == (said == {"mood": "bad", "text": "No key came twice."})


def test_other_hints_leave_the_sentence_as_it_is() -> None:
    """They are told below."""
    hints = [{"partition": "numbers/0", "name": "look_like_numbers", "text": "these look like numbers"}]
    assert assess_live(told()) == assess_live(told(hints=hints))
