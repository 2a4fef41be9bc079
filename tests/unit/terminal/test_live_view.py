"""The live view of the predictions: what it shows, whatever comes."""

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from online_lstm.terminal.live_view import CURVE, LINES, LiveView, sparkline
from rich.console import Console


def record(**fields: Any) -> SimpleNamespace:
    default = {
        "stream": "pump-7",
        "topic": "numbers",
        "partition": 0,
        "offset": 41,
        "value": 4,
        "evaluation": {"predicted": 4, "hit": True},
        "prediction": 8,
        "probability": 0.71,
        "top": [[8, 0.71], [4, 0.27]],
        "hit_rate": 0.97,
        "baseline_hit_rate": 0.62,
    }
    return SimpleNamespace(topic="predictions", partition=0, offset=3, value=json.dumps(default | fields).encode())


def shown(screen: LiveView) -> str:
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True, color_system=None)
    console.print(screen.render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_says_that_nothing_has_come() -> None:
    """And how to end it."""
    assert "predictions: nothing yet (Ctrl-C ends)" in shown(LiveView("predictions"))


def test_it_shows_rates_values_and_what_comes_next() -> None:
    """With the last lines below."""
    screen = LiveView("predictions")
    for number in range(20):
        screen.add(record(value=number, hit_rate=number / 20))
    text = shown(screen)
    assert "20 predictions seen" in text
    assert "95.0 %" in text
    assert "62.0 %" in text
    assert "▁" in text
    assert "█" not in text.split("best baseline")[1].split("\n")[0]
    assert "17 18 19" in text
    assert "8 71.0 %, 4 27.0 %  of pump-7" in text
    assert LINES == text.count("numbers/0/41")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prediction": None, "top": []}, "nothing is known yet  of pump-7"),
        ({"prediction": 17.2, "top": None, "interval": [15.1, 19.0]}, "17.2 in [15.1, 19.0]"),
        ({"probabilities": [["ok", 0.9], ["faulty", 0.1]], "sample": 3}, '"ok" 90.0 %, "faulty" 10.0 %'),
        ({"stream": None, "hit_rate": None, "baseline_hit_rate": None}, "nothing scored yet"),
        ({"value": [1.5, None], "evaluation": {"predicted": [1, 2], "hit": [True, False]}}, "[1.5, null]"),
        ({"value": "\x1b[2J"}, r"\u001b[2J"),
    ],
)
def test_each_task_is_shown(fields: dict[str, Any], words: str) -> None:
    """Symbols, numbers with intervals, vectors, labels; control characters stay text."""
    screen = LiveView("predictions")
    screen.add(record(**fields))
    assert words in shown(screen)
    assert "\x1b[2J" not in shown(screen)


def test_it_says_what_the_hit_rate_is_worth() -> None:
    """Against the last value, in bits; of a number, its error beside that of the best baseline."""
    screen = LiveView("predictions")
    screen.add(record(kappa_temporal=0.912, evaluation={"predicted": 4, "hit": True, "surprise_bits": 0.1047}))
    assert "worth          kappa-temporal 0.912, surprise of the last value 0.1 bits" in shown(screen)
    screen.add(record(kappa_temporal=None, evaluation=None))
    assert "worth          surprise of the last value 0.1 bits" in shown(screen)
    numbers = LiveView("predictions")
    errors = {"mean_absolute_error": 725.1184, "baseline_mean_absolute_error": 1290}
    numbers.add(record(evaluation={"predicted": 4.5, "hit": True, **errors}))
    assert "off by 725.118 on average, the best baseline by 1290" in shown(numbers)
    numbers.add(record(evaluation={"predicted": [1, 2], "hit": [True, False], "mean_absolute_error": [1, 2]}))
    assert "worth" not in shown(numbers)


def test_a_change_of_the_stream_is_marked_below_the_curve() -> None:
    """Where it was, also when the curve is thinned, and how long ago it is."""
    screen = LiveView("predictions")
    for number in range(1, 1001):
        changed = number in {500, 983}
        screen.add(record(evaluation={"predicted": 4, "hit": not changed, "drift": changed}))
    (line,) = [line for line in shown(screen).splitlines() if line.startswith("changes")]
    assert 2 == line.count("▲")
    assert "2, the last one 17 predictions ago" in line
    curve = next(line for line in shown(screen).splitlines() if line.startswith("hit rate")).split()[2]
    places = [place - len("changes        ") for place, character in enumerate(line) if character == "▲"]
    assert len(curve) / 2 - 2 <= places[0] <= len(curve) / 2 + 1
    assert len(curve) - 3 <= places[1] < len(curve)
    assert "changes" not in shown(LiveView("predictions"))


def test_what_is_no_prediction_is_shown_too() -> None:
    """Another program may write to the topic; the next prediction is still the last one's."""
    screen = LiveView("predictions")
    screen.add(record())
    screen.add(SimpleNamespace(topic="predictions", partition=1, offset=7, value=b"hello"))
    text = shown(screen)
    assert "predictions/1/7  not a prediction" in text
    assert "8 71.0 %" in text


def test_the_curve_is_bounded_and_reaches_back_to_the_beginning() -> None:
    """It is thinned by half whenever it gets too long."""
    screen = LiveView("predictions")
    for number in range(1000):
        screen.add(record(hit_rate=number / 1000))
    (line,) = [line for line in shown(screen).splitlines() if line.startswith("hit rate")]
    curve = line.split()[2]
    assert CURVE / 2 <= len(curve) <= CURVE
    assert "".join(sorted(curve)) == curve
    assert {"▁", "█"} <= set(curve)


def test_rates_at_both_ends_have_a_bar() -> None:
    """Nothing is the lowest one, everything the highest."""
    assert "▁█" == sparkline([0.0, 1.0])
