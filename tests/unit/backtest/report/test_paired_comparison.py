"""Which of two backtests was better, and whether chance would have given as much."""

import doctest
import random
from typing import Any

import pytest
from online_lstm.backtest.report import paired_comparison as module
from online_lstm.backtest.report.paired_comparison import compare_paired, has_blocks


def report(worth: list[Any], counts: list[int] | None = None, measure: str = "hit_rate") -> dict[str, Any]:
    """Make what the sentence needs of a report, from hits or errors of blocks."""
    counts = counts or [1] * len(worth)
    name = "hits" if measure == "hit_rate" else "errors"
    blocks = {"events": list(range(1, len(worth) + 1)), "predictions": counts, name: worth}
    return {"scored": sum(counts), "curve": {"measure": measure}, "blocks": blocks}


def hits(discordant: int, more: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make two reports of 1,000 values, with so many that only one has right, of which B has so many more."""
    only_b = (discordant + more) // 2
    alike = [1] * 500 + [0] * (500 - discordant)
    a = alike + [0] * only_b + [1] * (discordant - only_b)
    return report(a), report(alike + [1] * only_b + [0] * (discordant - only_b))


@pytest.mark.parametrize(("discordant", "better"), [(20, "B"), (100, "B"), (104, None), (480, None)])
def test_what_chance_would_give_is_told(discordant: int, better: str | None) -> None:
    """Twenty of 1,000 are a lot where both are right and wrong together; the test is that of McNemar."""
    found = compare_paired(*hits(discordant, 20))
    assert (better, True) == (found.better, found.paired)
    assert 0.02 == pytest.approx(found.difference)
    expected = 2 * (discordant - 20**2 / 1000) ** 0.5 / 1000
    assert found.margin == pytest.approx(expected, rel=1e-3)


def test_sentence_has_winner_margin_and_chance() -> None:
    """Points of hits; the better one first."""
    told = compare_paired(*hits(100, 40)).text
    rates = "57.0 % of the predictions of B were right, 53.0 % of A"
    assert f"B was better: {rates}. The difference is 4 points, more than chance would give (± 2 points)." == told
    told = compare_paired(*hits(100, 0)).text
    assert told.startswith("Neither was clearly better: ")
    assert told.endswith("There is no difference.")


def test_errors_are_better_where_they_are_smaller() -> None:
    """Each block counts by its predictions; what differs is a share of the larger error."""
    chance = random.Random(1)
    counts = [8] * 40 + [3]
    errors = [5 + chance.random() for _ in counts]
    a, b = (report([by * error for error in errors], counts, "mean_absolute_error") for by in (1.0, 0.8))
    found = compare_paired(a, b)
    assert "A was better" not in found.text
    mean = sum(error * count for error, count in zip(errors, counts, strict=True)) / sum(counts)
    assert f"B was better: B was off by {0.8 * mean:.4g} on average, A by {mean:.4g}." in found.text
    assert "The difference is 20 %, more than" in found.text
    assert found.difference == pytest.approx(-0.2 * mean)
    shares = [one | {"curve": {"measure": "mean_absolute_error_ratio"}} for one in (b, a)]
    assert "A was off by 4" in compare_paired(*shares).text
    assert "of the values' size on average" in compare_paired(*shares).text


def test_reports_of_other_values_are_compared_as_independent() -> None:
    """As where one has judged a value more; it says so, and the margin is wider."""
    a, b = hits(20, 20)
    shifted = b | {"blocks": {**b["blocks"], "events": [event + 1 for event in b["blocks"]["events"]]}}
    found = compare_paired(a, shifted)
    assert (None, False) == (found.better, found.paired)
    assert "taken as independent" in found.text
    assert found.margin == pytest.approx(2 * (0.5 * 0.5 / 1000 + 0.52 * 0.48 / 1000) ** 0.5, rel=1e-2)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (report([1] * 99), report([1] * 99)),
        (report([40.0] * 19, [40] * 19), report([0] * 19, [40] * 19)),
        (
            report([1.0] * 99 + [None], measure="mean_absolute_error"),
            report([1.0] * 100, measure="mean_absolute_error"),
        ),
        (
            report([1.0] * 100, measure="mean_absolute_error"),
            report([1.0] * 100, measure="mean_absolute_error_ratio"),
        ),
    ],
)
def test_what_cannot_be_told_is_not_told(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Too few, errors that are not known, or of another unit."""
    found = compare_paired(a, b)
    assert (None, None, None) == (found.better, found.difference, found.margin)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"events": [], "predictions": [], "hits": []},
        {"events": 1},
        {"events": [1] * 9},
        {"predictions": [0] * 10},
        {"predictions": [True] * 10},
        {"hits": ["1"] * 10},
        {"hits": None},
    ],
)
def test_what_is_no_block_is_found(changed: dict[str, Any]) -> None:
    """A report may be another one's, and damaged."""
    usual = report([1] * 10)
    assert (not changed) == has_blocks(usual | {"blocks": usual["blocks"] | changed})


def test_its_examples_are_right() -> None:
    """Those in the docstrings."""
    assert (0, True) == ((done := doctest.testmod(module)).failed, done.attempted > 0)
