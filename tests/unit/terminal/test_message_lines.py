"""Lines about predictions: what they say, and that what comes from a stream stays text."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
from online_lstm.terminal.message_lines import format_message
from online_lstm.terminal.message_output import line_writer, write_message
from rich.console import Console


def message(**fields: object) -> bytes:
    default = {
        "stream": "pump-7",
        "topic": "numbers",
        "partition": 0,
        "offset": 41,
        "event": 42,
        "value": 4,
        "evaluation": {"predicted": 4, "hit": True, "probability": 0.93, "surprise_bits": 0.1},
        "prediction": 8,
        "probability": 0.714,
        "top": [[8, 0.714]],
        "hit_rate": 0.97,
        "baseline_hit_rate": 0.62,
        "model": "1f3a9c20@42",
    }
    return json.dumps(default | fields).encode()


def record(value: bytes | None) -> SimpleNamespace:
    return SimpleNamespace(topic="predictions", partition=0, offset=3, value=value)


def test_a_line_tells_value_verdict_forecast_and_rates() -> None:
    """In the order in which they came about."""
    expected = "numbers/0/41  pump-7  4  hit    next 8 (0.71)  hit rate 0.970  baseline 0.620"
    assert expected == format_message(message(), "").plain


def test_a_miss_and_a_first_value_are_told_apart() -> None:
    """Where nothing had been predicted there is neither a hit nor a rate; a null key has no name."""
    missed = {"predicted": 8, "hit": False, "probability": 0.02, "surprise_bits": 5.6}
    assert (
        '  4  miss   predicted "8"  next 8' in format_message(message(evaluation=missed | {"predicted": "8"}), "").plain
    )
    first = format_message(
        message(stream=None, evaluation=None, prediction=None, probability=None, hit_rate=None, baseline_hit_rate=None),
        "",
    )
    assert "numbers/0/41  -  4  first  next ?  hit rate -  baseline -" == first.plain


def test_a_change_of_the_stream_is_told_in_words() -> None:
    """After what came of the value."""
    evaluation = {"predicted": 8, "hit": False, "probability": 0.02, "surprise_bits": 5.6, "drift": True}
    assert (
        "  miss   predicted 8  the stream changed  next 8" in format_message(message(evaluation=evaluation), "").plain
    )
    assert "changed" not in format_message(message(evaluation=evaluation | {"drift": False}), "").plain


def test_control_characters_of_a_stream_are_escaped() -> None:
    """Neither a value nor a key moves the cursor, whatever was published; nor is it read as markup."""
    line = format_message(message(stream="\x1b[2J\u202e[red]", value="a\x07\x9b[/red]", prediction="\x7f"), "").plain
    assert line.isprintable()
    assert r"\x1b[2J\u202e[red]  " in line
    assert r'"a\u0007\x9b[/red]"  hit' in line
    assert r'next "\x7f"' in line


def test_long_texts_are_cut() -> None:
    """A line stays a line."""
    assert len(format_message(message(stream="s" * 1000, value="v" * 1000), "").plain) < 200


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"4", b"[]", b"{}", b'{"evaluation": 1}', message(hit_rate="x")])
def test_what_is_no_prediction_is_shown_as_such(value: bytes | None) -> None:
    """The topic may hold what another program published."""
    assert format_message(value, "predictions/0/3").plain.startswith("predictions/0/3  not a prediction: ")


def test_hits_are_green_on_a_terminal_and_plain_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets no escape sequences."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system="standard", highlight=False, soft_wrap=True)
    line_writer(console)(record(message()))
    assert "\x1b[32mhit" in terminal.getvalue()
    line_writer(Console(file=sys.stdout))(record(message()))
    assert format_message(message(), "").plain + "\n" == capsys.readouterr().out


def test_json_is_the_message_as_it_was_published(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Byte for byte, a line each."""
    write_message(record(message()))
    assert message() + b"\n" == capfdbinary.readouterr().out


def test_several_numbers_are_a_hit_if_all_that_came_are() -> None:
    """What is missing counts for nothing."""
    outcomes = {"hit": [[True, None], [True, True]], "miss": [[True, False], [None, True]]}
    for outcome, hits in outcomes.items():
        evaluation = {"predicted": [[1.0, 2.0], [3.0, 4.0]], "hit": hits}
        fields: dict[str, object] = {"value": [1, None], "prediction": [[1, 2], [3, 4]], "evaluation": evaluation}
        said = {name: of for name, of in json.loads(message(**fields)).items() if name != "probability"}
        assert f"[1, null]  {outcome}" in format_message(json.dumps(said).encode(), "").plain


def test_labels_are_told_as_such() -> None:
    """At every sample what the label may be; the evaluation comes with the label, which may be alone."""
    fields: dict[str, object] = {"stream": "run-17", "value": [0.1, None], "sample": 3, "evaluation": None}
    assert "run-17  [0.1, null]  open   label 8 (0.71)" in format_message(message(**fields), "").plain
    alone = {"value": None, "sample": None, "prediction": None, "probability": None}
    evaluation = {"label": 1, "predicted": 0, "hit": False, "probability": 0.2, "surprise_bits": 2.3}
    assert (
        "null  miss   predicted 0  label ?"
        in format_message(message(**(fields | alone | {"evaluation": evaluation})), "").plain
    )


def test_predicted_numbers_have_six_digits_and_symbols_all() -> None:
    """Several horizons have room in a line; a symbol is shown as it is."""
    told = {"topic": "t", "partition": 0, "offset": 1, "stream": None, "hit_rate": 0.5, "baseline_hit_rate": 0.25}
    evaluation = {"hit": [False, True], "predicted": [107.60966232331232, 97.78853687948508]}
    foretold = {"prediction": [140.62600225267965, 223.7885796281105], "interval": [None, None]}
    line = format_message(
        json.dumps({**told, "value": 108, "evaluation": evaluation, **foretold}).encode(), "t/0/1"
    ).plain
    assert "predicted [107.61, 97.7885]  next [140.626, 223.789]" in line
    symbol = {"prediction": 140.62600225267965, "probability": 0.5}
    line = format_message(json.dumps({**told, "value": 108, "evaluation": None, **symbol}).encode(), "t/0/1").plain
    assert "next 140.62600225267965 (0.50)" in line
