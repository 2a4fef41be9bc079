"""The figures of a backtest as readable text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from online_lstm.events import NUMBER_SCORES
from online_lstm.significance import words_of
from online_lstm.terminal.tables import make_table

EARLY = 500
"""Number of first values that are reported separately, as the learning phase."""
_DRIFTS_SHOWN = 5
"""Maximum number of drifts whose values are listed."""
TITLES = {
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "mean_absolute_percentage_error": "mean absolute percentage error, as a share",
    "mean_absolute_error_ratio": "mean absolute error by mean value",
    "skill": "skill against the best baseline",
    "skill_last_value": "skill against last value",
    "skill_seasonal_naive": "skill against seasonal naive",
    "interval_coverage": "share within the interval",
}
ABBREVIATIONS = {
    "mean_absolute_error": "MAE",
    "baseline_mean_absolute_error": "baseline's",
    "root_mean_squared_error": "RMSE",
    "mean_absolute_percentage_error": "MAPE",
    "skill_last_value": "skill, last",
    "skill_seasonal_naive": "skill, season",
    "interval_coverage": "covered",
}


def number_rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and format of each figure."""
    for name, title in TITLES.items():
        style = "+.4f" if name.startswith("skill") else ".6g" if name.endswith("_error") else ".4f"
        if name == "mean_absolute_percentage_error":
            style = ".4f"
        if figures[name] is not None or "channels" not in figures:  # errors over several components have no unit
            yield title, figures[name], style
        if name == "mean_absolute_error" and "channels" not in figures:
            for kind in ("baseline", "expert"):
                for predictor, error in figures[f"{kind}_mean_absolute_errors"].items():
                    yield f"mean absolute error, {kind} {in_words(predictor)}", error, ".6g"


def score_rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the figures of a scorecard as readable text, each with its name."""
    yield "events", f"{figures['events']:,}"
    yield "streams", f"{figures['streams']:,}"
    yield "hit rate", _shown(figures["hit_rate"])
    yield f"hit rate, first {EARLY} values", _shown(figures[f"hit_rate_first_{EARLY}"])
    yield f"hit rate, after value {EARLY}", _shown(figures[f"hit_rate_after_{EARLY}"])
    for name, rate in figures["baseline_hit_rates"].items():
        yield f"baseline {words_of(name, figures['task'])}", _shown(rate)
    yield "lift over the best baseline", _shown(figures["lift"], "+.4f")
    if "log_loss_bits" in figures:
        yield "kappa-temporal", _shown(figures["kappa_temporal"])
        yield "log loss", _shown(figures["log_loss_bits"], ".4f", " bits")
    else:
        for title, figure, style in number_rows(figures):
            yield title, _shown(figure, style)
    if "stable_since_sample" in figures:
        yield "samples a sequence", _shown(figures["samples_a_sequence"], ".1f")
        yield "prediction stable since sample", _shown(figures["stable_since_sample"], ".1f")
    yield "time to learn, values", _shown(figures["time_to_learn"]["events"], ",")
    yield "drifts", _when(figures["drifts"], figures["drift_events"])
    yield "last miss at value", _shown(figures["last_miss"], ",")
    yield "time per event, without compiling", _shown(figures["event_ms"], ".3f", " ms", none="too few to tell")
    yield "dead letters", f"{sum(figures['dead_letters'].values()):,}"
    for reason, count in figures["dead_letters"].items():
        yield f"dead letters, {in_words(reason)}", f"{count:,}"


def channel_tables(figures: Mapping[str, Any], width: int) -> list[Table]:
    """Return tables with the figures of each component and horizon, with the usual abbreviations.

    The columns are split over several tables, each at most ``width`` characters wide if possible.
    """
    channels = [[str(channel["component"]), str(channel["horizon"])] for channel in figures["channels"]]
    heads = [["component", "horizon"], *([ABBREVIATIONS[name]] for name in NUMBER_SCORES)]
    columns = [channels, *([[digits(channel[name])] for channel in figures["channels"]] for name in NUMBER_SCORES)]
    beside = _width(heads[0], channels)
    tables: list[list[int]] = []
    room = 0
    for column in range(1, len(heads)):
        needed = _width(heads[column], columns[column])
        if not tables or needed > room:
            tables.append([0])
            room = width - beside - 1
        tables[-1].append(column)
        room -= needed
    return [
        _table_of([heads[column] for column in chosen], [columns[column] for column in chosen]) for chosen in tables
    ]


def _table_of(heads: Sequence[Sequence[str]], columns: Sequence[Sequence[Sequence[str]]]) -> Table:
    table = make_table(*(f"{name} >" for names in heads for name in names))
    for cells in zip(*columns, strict=True):
        table.add_row(*(Text(cell) for some in cells for cell in some))
    return table


def _width(heads: Sequence[str], columns: Sequence[Sequence[str]]) -> int:
    """Return the width of columns in characters, including padding on both sides and a rule."""
    return sum(max(map(len, column)) + 3 for column in zip(heads, *columns, strict=True))


def digits(figure: float | None) -> str:
    """Format a figure with four digits, or a dash for None."""
    return "-" if figure is None else f"{figure:.4g}"


def in_words(name: str) -> str:
    """Format a name as words."""
    return name.replace("_", " ")


def _when(drifts: int, events: Sequence[int]) -> str:
    """Format the number of drifts and the values of the first ones."""
    if not drifts:
        return "none"
    shown = ", ".join(f"{event:,}" for event in events[:_DRIFTS_SHOWN])
    return f"{drifts:,} (at {shown}{', …' if drifts > _DRIFTS_SHOWN else ''})"


def _shown(figure: float | None, style: str = ".4f", unit: str = "", *, none: str = "none") -> str:
    return none if figure is None else f"{figure:{style}}{unit}"
