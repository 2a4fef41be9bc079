"""The figures of a scorecard, from messages that are made by hand."""

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from online_lstm.backtest.report.score_tables import EARLY
from online_lstm.backtest.report.scorecard import MAX_BAD_LINES, MAX_CHUNKS, Scorecard
from online_lstm.backtest.report.time_to_learn import MAX_DRIFTS
from online_lstm.errors import InputFileError
from online_lstm.events import (
    BASELINES,
    EXPERTS,
    EventResult,
    LabelEvaluation,
    LabelResult,
    OutputRecord,
    SymbolEvaluation,
    SymbolResult,
)
from online_lstm.learning.partition import BatchCounts, ProcessedBatch
from online_lstm.predictor_scores import Predictors, total_hits
from online_lstm.settings import Settings, read_settings
from rich.console import Console

SYMBOL = Predictors(BASELINES["symbol"], EXPERTS["symbol"])


def message(stream: str | None) -> OutputRecord:
    return OutputRecord(0, -1, None, json.dumps({"stream": stream, "offset": 0, "value": 4}).encode(), ())


def prediction(
    hit: bool | None, stream: str | None = None, *, baselines: Sequence[int] = (0, 0, 0)
) -> tuple[OutputRecord, SymbolResult]:
    evaluation = None if hit is None else SymbolEvaluation("4", hit, 0.5, 1.0 + hit, (), 0.5)
    hits = None if hit is None else SYMBOL.named([hit, *baselines, 0, 0, 0])
    return message(stream), SymbolResult(1, 1, 0, evaluation, None, hits, None)


def dead_letter(offset: int, reason: str = "not_a_value") -> tuple[OutputRecord, None]:
    headers = {"error": f"received line {offset}", "reason": reason, "offset": str(offset)}
    pairs = tuple((f"online_lstm_{name}", text.encode()) for name, text in headers.items())
    return OutputRecord(0, -1, None, b"?", (*pairs, ("other", b"\xff")), dead_letter=True), None


def scored(
    *chunks: tuple[Sequence[tuple[OutputRecord, EventResult | None]], BatchCounts], **settings: Any
) -> Scorecard:
    scorecard = Scorecard(Settings.model_construct(**settings))
    for said, tally in chunks:
        outcomes = [outcome for _, outcome in said if outcome is not None]
        hits = total_hits(outcome.hits for outcome in outcomes if outcome.hits)
        scorecard.add(ProcessedBatch([output for output, _ in said], replace(tally, hits=hits), outcomes))
    return scorecard


def test_hit_rates_are_told_for_the_beginning_and_for_the_rest() -> None:
    """Values that nothing was predicted for are no misses; the beginning is counted in values."""
    outputs = [prediction(None), *[prediction(False)] * (EARLY - 1), *[prediction(True)] * 3, prediction(False)]
    figures = scored((outputs, BatchCounts(events=len(outputs)))).to_json()
    assert EARLY + 4 == figures["events"]
    assert EARLY + 3 == figures["scored"]
    assert 0.0 == figures[f"hit_rate_first_{EARLY}"]
    assert 0.75 == figures[f"hit_rate_after_{EARLY}"]
    assert pytest.approx(3 / (EARLY + 3)) == figures["hit_rate"]
    assert EARLY + 4 == figures["last_miss"]


def test_lifts_have_the_standard_errors_of_pairs() -> None:
    """From how often one was right where the other one was not, over all of the input."""
    differing = 40 * [prediction(True)] + 9 * [prediction(False, baselines=(1, 0, 0))]
    figures = scored(([*differing, *51 * [prediction(False)]], BatchCounts(events=100))).to_json()
    assert (49 - 31**2 / 100) ** 0.5 / 100 == pytest.approx(figures["lift_errors"]["last_value"])
    assert scored(([prediction(None)], BatchCounts(events=1))).to_json()["lift_errors"]["last_value"] is None


def test_lift_is_over_the_best_baseline() -> None:
    """The hits of baselines are added up over all chunks, by name."""
    chunk = [prediction(True, baselines=(0, 1, 1)), prediction(False, baselines=(0, 0, 1))], BatchCounts(events=2)
    figures = scored(chunk, chunk).to_json()
    assert {"last_value": 0.0, "most_frequent": 0.5, "suffix_memory": 1.0} == figures["baseline_hit_rates"]
    assert -0.5 == figures["lift"]
    assert 1.5 == figures["log_loss_bits"]


def test_kappa_temporal_is_against_the_last_value() -> None:
    """Over all that was scored; where the last value is always right there is none, and nor is there of numbers."""
    right, wrong = prediction(True, baselines=(1, 1, 0)), prediction(False, baselines=(0, 1, 0))
    chunk = [right, right, prediction(True, baselines=(0, 1, 0)), wrong], BatchCounts(events=4)
    assert 0.5 == scored(chunk).to_json()["kappa_temporal"]
    assert scored(([right], BatchCounts(events=1))).to_json()["kappa_temporal"] is None
    assert scored(([prediction(None)], BatchCounts(events=1))).to_json()["kappa_temporal"] is None
    assert "kappa_temporal" not in Scorecard(read_settings({"task": "number"})).to_json()


def test_changes_of_the_stream_are_told_with_their_values() -> None:
    """All of them are counted; in JSON the first hundred are listed, in the table the first five."""
    changed = replace(prediction(False)[1], evaluation=SymbolEvaluation("4", False, 0.5, 1.0, (), 0.5, drift=True))
    chunk = [prediction(True), (prediction(False)[0], changed)]
    scorecard = scored((chunk * (MAX_DRIFTS + 1), BatchCounts(events=2 * MAX_DRIFTS + 2)))
    figures = scorecard.to_json()
    assert MAX_DRIFTS + 1 == figures["drifts"]
    assert list(range(2, 2 * MAX_DRIFTS + 1, 2)) == figures["drift_events"]
    shown = io.StringIO()
    scorecard.print(Console(file=shown, width=100), "values.txt")
    assert "101 (at 2, 4, 6, 8, 10, …)" in shown.getvalue()
    assert (0, []) == tuple(
        scored(([prediction(True)], BatchCounts(events=1))).to_json()[n] for n in ("drifts", "drift_events")
    )


def test_time_of_an_event_is_the_median_over_the_chunks() -> None:
    """A program that was compiled in the first one does not count; with too few chunks there is no figure."""
    chunks = [([prediction(True)], BatchCounts(events=1, seconds=seconds)) for seconds in (9.0, 0.002, 0.001)]
    assert 2.0 == scored(*chunks).to_json()["event_ms"]
    assert scored(*chunks[:2]).to_json()["event_ms"] is None


def test_memory_does_not_grow_with_streams_and_chunks() -> None:
    """One that is forgotten, as the learner forgets it, counts anew; times are those of the last chunks."""
    names = ["a", "b", "a", "c", "a", "b"]
    card = scored(([prediction(None, name) for name in names], BatchCounts(events=6)), max_streams=2)
    assert (4, 2) == (card.to_json()["streams"], len(card._last_streams))  # a, b, c, and b again
    for chunk in range(3 * MAX_CHUNKS):
        card.add(ProcessedBatch([], BatchCounts(events=1, seconds=1.0 if chunk < 2 * MAX_CHUNKS else 0.002)))
    assert (2, MAX_CHUNKS) == (card.to_json()["event_ms"], len(card._event_seconds))


def test_streams_are_counted_by_name() -> None:
    """The stream of the null key is one of them."""
    outputs = [prediction(True, stream) for stream in ("a", None, "b", "a")]
    assert 3 == scored((outputs, BatchCounts(events=4))).to_json()["streams"]


def test_refused_lines_are_counted_and_first_ones_shown() -> None:
    """By the number that an editor shows; they are values, but not events."""
    letters = [dead_letter(offset) for offset in range(10, 20)]
    scorecard = scored((letters, BatchCounts(dead_letters=Counter(not_a_value=10))))
    figures = scorecard.to_json()
    assert (10, 0) == (scorecard.lines, figures["events"])
    assert {"not_a_value": 10} == figures["dead_letters"]
    assert list(range(11, 11 + MAX_BAD_LINES)) == [bad["line"] for bad in figures["bad_lines"]]
    assert {"line": 11, "reason": "not_a_value", "error": "received line 10"} == figures["bad_lines"][0]
    console = Console(record=True, width=120, file=io.StringIO())
    scorecard.print(console, "values")
    assert f"and {sum(figures['dead_letters'].values()) - MAX_BAD_LINES} more" in console.export_text()


def test_an_input_of_which_nothing_was_learned_is_refused() -> None:
    """With the reasons and the first example; one value that was learned is enough."""
    letters = [dead_letter(1), dead_letter(2), dead_letter(3, "not_utf8")]
    tally = BatchCounts(dead_letters=Counter(not_a_value=2, not_utf8=1))
    expected = r"a.txt: nothing was learned, all 3 values were refused \(not_a_value 2, not_utf8 1\); .*"
    with pytest.raises(InputFileError, match=expected + "in line 2: received line 1$"):
        scored((letters, tally)).require_events("a.txt")
    scored((letters, tally), ([prediction(None)], BatchCounts(events=1))).require_events("a.txt")


def test_where_nothing_was_scored_there_are_no_rates() -> None:
    """None is not zero, neither in JSON nor in the table."""
    scorecard = scored(([prediction(None)], BatchCounts(events=1)))
    figures = scorecard.to_json()
    assert [None] * 4 == [figures[name] for name in ("hit_rate", "lift", "log_loss_bits", "last_miss")]
    shown = io.StringIO()
    scorecard.print(Console(file=shown, width=80), "values[red].txt")
    assert "values[red].txt: each value predicted before it was learned" in shown.getvalue()
    assert "none" in shown.getvalue()


def test_sequences_are_told_with_where_their_prediction_settled() -> None:
    """In the mean, over those that a message has a evaluation on, and those that none has."""
    told = LabelEvaluation(
        "1", "1", hit=True, probability=0.5, surprise_bits=1, samples=7, stable_since_sample=3, confidence=0.5
    )
    silent = LabelEvaluation(
        "1", "0", hit=False, probability=0.25, surprise_bits=2, samples=9, stable_since_sample=9, confidence=0.75
    )
    settings = read_settings({"task": "label"})
    unpublished_evaluations = ((silent, settings.predictors.named([0, 1, 0, 0])),)
    hits = settings.predictors.named([1, 0, 0, 1])
    outcome = LabelResult(2, 2, 0, told, None, hits, None, unpublished_evaluations=unpublished_evaluations)
    scorecard, counts = Scorecard(settings), BatchCounts()
    counts.add([outcome])
    scorecard.add(ProcessedBatch([message("a")], counts, [outcome]))
    figures = scorecard.to_json()
    assert (2, 0.5, 1.5) == (figures["scored"], figures["hit_rate"], figures["log_loss_bits"])
    assert {"last_value": 0.5, "most_frequent": 0.0} == figures["baseline_hit_rates"]
    assert (8, 6) == (figures["samples_a_sequence"], figures["stable_since_sample"])
    console = Console(file=io.StringIO(), width=100)
    scorecard.print(console, "runs")
    for words in ("prediction stable since sample", "baseline last label", "kappa-temporal"):
        assert words in console.file.getvalue()  # type: ignore[attr-defined]
