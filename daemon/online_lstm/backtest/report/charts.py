"""Charts as inline SVG in the colours of the page, so that they follow its theme; the output is deterministic."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from online_lstm.backtest.report.score_tables import in_words
from online_lstm.significance import words_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[float | None]

NARROW, BROAD = (4.3, 2.8), (10.0, 3.4)
"""Chart sizes in inches: half the width of a page or a telephone, and the full width."""
_COLOURS = ("ink", "soft", "line", "own", "hit", "miss", "b1", "b2", "b3", "e1", "e2", "e3")
_STANDS_FOR = {name: f"#0000{index:02x}" for index, name in enumerate(_COLOURS, 1)}
"""Placeholder colours, by the name of the page's colour variable; replaced when the SVG is written."""
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _STANDS_FOR["soft"],
    "axes.labelcolor": _STANDS_FOR["soft"],
    "axes.edgecolor": _STANDS_FOR["line"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _STANDS_FOR["line"],
    "grid.linewidth": 0.6,
    "xtick.color": _STANDS_FOR["soft"],
    "ytick.color": _STANDS_FOR["soft"],
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "text.parse_math": False,
}
_BASELINE_COLOURS, _EXPERT_COLOURS = ("b1", "b2", "b3"), ("e1", "e2", "e3")
_UNUSED_IDS = re.compile(r' id="[a-zA-Z0-9.]+_\d+"')
_TEXT_FONT = re.compile(r"font: ([0-9.]+px) [^;\"]*")


class ChartSeries(NamedTuple):
    """A line of a chart: its name and its points, None for a gap."""

    name: str
    events: Sequence[float]
    points: Points
    colour: str
    style: str = "-"
    width: float = 1.2


class ChartMarker(NamedTuple):
    """An event that is marked by a vertical line."""

    event: float
    name: str
    colour: str
    style: str = ":"


def series_of(
    curve: Mapping[str, Any], baselines: Sequence[str], experts: Sequence[str], task: str
) -> list[ChartSeries]:
    """Return the lines of baselines and experts, and last the line of the published prediction, drawn on top."""
    events = curve["events"]
    simple = [
        ChartSeries(words_of(name, task), events, curve[name], colour)
        for name, colour in zip(baselines, _BASELINE_COLOURS, strict=False)
    ]
    learned = [
        ChartSeries(f"expert {in_words(name)}", events, curve[f"expert_{name}"], colour, "--", 1.0)
        for name, colour in zip(experts, _EXPERT_COLOURS, strict=False)
    ]
    return [*simple, *learned, ChartSeries("prediction", events, curve["prediction"], "own", "-", 2.2)]


def line_chart(
    lines: Sequence[ChartSeries],
    *,
    x: str,
    y: str,
    size: tuple[float, float] = NARROW,
    marks: Sequence[ChartMarker] = (),
    moments: Sequence[float] = (),
    share: bool = False,
) -> str:
    """Draw lines over the course of an input.

    Args:
        lines: The lines; the last one is drawn on top.
        x: Title of the x axis.
        y: Title of the y axis, with the unit.
        size: Width and height in inches.
        marks: Vertical lines.
        moments: Events that are marked by a short stroke at the bottom.
        share: Whether the figures are shares between 0 and 1.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for line in lines:
            points = [float("nan") if point is None else point for point in line.points]
            axes.plot(
                line.events,
                points,
                color=_STANDS_FOR[line.colour],
                linestyle=line.style,
                linewidth=line.width,
                label=line.name,
                marker="." if len(points) == 1 else None,
            )
        labelled: set[str] = set()
        for mark in marks:
            label = None if mark.name in labelled else mark.name
            labelled.add(mark.name)
            axes.axvline(mark.event, color=_STANDS_FOR[mark.colour], linestyle=mark.style, linewidth=1.1, label=label)
        if moments:
            axes.plot(
                moments,
                [0.02] * len(moments),
                "|",
                transform=axes.get_xaxis_transform(),
                color=_STANDS_FOR["miss"],
                markersize=8,
                label="most surprising",
            )
        axes.set(xlabel=x, ylabel=y)
        if share:
            axes.set_ylim(-0.02, 1.02)
        else:
            axes.set_ylim(bottom=0)
        _thousands(axes)
        columns = 4 if size == BROAD else 2
        figure.legend(loc="outside lower center", ncols=min(columns, len(lines) + 2), fontsize=8)

    return _svg(draw, size, salt=f"{x}{y}{size}")


def reliability_chart(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw the hit rate by probability with the ideal line, above the number of predictions."""

    def draw(figure: "Figure") -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        known = [one for one in bins if one["count"]]
        above.plot([0, 1], [0, 1], color=_STANDS_FOR["soft"], linestyle=":", label="as they say")
        above.plot(
            [one["probability"] for one in known],
            [one["hit_rate"] for one in known],
            color=_STANDS_FOR["own"],
            marker="o",
            markersize=4,
            linewidth=1.6,
            label="predictions",
        )
        above.set(ylabel="share of hits", ylim=(-0.03, 1.03), xlim=(0, 1))
        above.legend(loc="upper left", fontsize=8)
        below.bar(
            [one["from"] for one in bins],
            [one["count"] for one in bins],
            width=1 / len(bins),
            align="edge",
            color=_STANDS_FOR["own"],
            edgecolor=_STANDS_FOR["line"],
            alpha=0.6,
        )
        below.set(xlabel="probability that was given, 0 to 1", ylabel="number")
        below.yaxis.set_major_formatter(_thousand)
        below.locator_params(axis="y", nbins=2)

    return _svg(draw, (NARROW[0], 3.6), salt="reliability")


def _svg(draw: Any, size: tuple[float, float], *, salt: str) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_alpha(0)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for name, colour in _STANDS_FOR.items():
        text = text.replace(colour, f"var(--{name})")
    text = _UNUSED_IDS.sub("", text)
    text = _TEXT_FONT.sub(r"font: \1 system-ui, sans-serif", text)
    # the page sets the size and has a description in words
    text = re.sub(r'(<svg [^>]*?)width="[^"]*"', r'\1aria-hidden="true"', text, count=1)
    return re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)


def _thousands(axes: "Axes") -> None:
    axes.xaxis.set_major_formatter(_thousand)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)  # type: ignore[call-arg]
    axes.margins(x=0.01)


def _thousand(number: float, _: object = None) -> str:
    return f"{number:,.0f}"
