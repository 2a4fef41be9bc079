"""The page of a backtest: what it says, and in a real browser that it needs nothing else."""

import io
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from online_lstm.backtest import runner
from online_lstm.backtest.input_files import Line
from online_lstm.backtest.report.charts import ChartSeries, line_chart
from online_lstm.backtest.report.html_report import render
from online_lstm.backtest.report.report_content import report_content
from online_lstm.backtest.report.scorecard import Scorecard
from online_lstm.backtest.runner import backtest
from online_lstm.checkpoint import warm_start_file
from online_lstm.checkpoint.warm_start_file import beginning
from online_lstm.cli import main
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode
from online_lstm.learning.model_factory import model_factory
from online_lstm.observability.assessment import assess_backtest
from PIL import Image
from support.fakes import (
    LABELS,
    NUMBERS,
    SMALL,
    label_traffic,
    number_traffic,
    small_classifier,
    small_network,
    small_settings,
)

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


@cache
def number_networks() -> Any:
    return model_factory(small_settings(**NUMBERS))


WAYS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "symbol": ({}, lambda _: small_network, None),
    "number": (NUMBERS, lambda _: number_networks(), number_traffic),
    "label": (LABELS, lambda _: small_classifier, label_traffic),
}


def report_of(task: str, lines: list[Line], **given: Any) -> dict[str, Any]:
    """Let small networks learn some lines, and give what ``--json`` would write."""
    settings_given, networks, _ = WAYS[task]
    settings = small_settings(**settings_given, **given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm_start_file, "model_factory", networks)
        scorecard = backtest(settings, "values", lines)
    report: dict[str, Any] = json.loads(json.dumps(report_content(settings, "values", scorecard.to_json())))
    return report


def lines_of(task: str, count: int) -> list[Line]:
    traffic = WAYS[task][2]
    if traffic is None:
        return [Line(number, value) for number, value in enumerate(demo_stream(count))]
    records = [record for record in traffic(count) if record.value is not None]
    return [Line(record.offset, record.value, record.key, record.timestamp_ms) for record in records]


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    return {task: report_of(task, lines_of(task, 600)) for task in WAYS}


@pytest.mark.parametrize("task", WAYS)
def test_page_and_report_are_as_certain_of_the_same(task: str) -> None:
    """Where the score windows hold all that was scored, the standard errors of both are the same."""
    settings_given, networks, _ = WAYS[task]
    settings = small_settings(**settings_given, score_window=600, max_streams=50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm_start_file, "model_factory", networks)
        partition, scorecard = beginning(settings, "values")(), Scorecard(settings)
        for _ in runner.learn(partition, lines_of(task, 150), scorecard):
            pass
    figures, standing = scorecard.to_json(), partition.report(None)
    assert pytest.approx(figures["lift_errors"]) == standing.lift_errors
    if task == "number":
        assert standing.numbers is not None
        assert standing.numbers.skill_error is not None
        assert pytest.approx(figures["skill_error"]) == standing.numbers.skill_error
    else:
        assert max(figures["lift_errors"].values()) > 0


@pytest.fixture
def load(browser: "Browser", tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open pages from files; whatever they ask for or complain of is an error."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(page: bytes, width: int = 1100, scheme: Any = "light") -> Any:
        file = tmp_path / f"{len(contexts)}.html"
        file.write_bytes(page)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda said: complaints.append(said.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda asked: complaints.append(asked.url) if asked.url != file.as_uri() else None)
        tab.goto(file.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert [] == complaints


@pytest.mark.parametrize("task", WAYS)
def test_it_has_all_there_is_to_see(reports: dict[str, dict[str, Any]], load: Callable[..., Any], task: str) -> None:
    """A sentence, tiles, charts with words for who does not see them, tables, settings, versions."""
    report = reports[task]
    tab = load(render(report))
    assert "values: backtest" == tab.title()
    assert assess_backtest(report)["text"] in tab.locator(".headline").inner_text()
    charts = tab.get_by_role("img")
    assert 3 == charts.count()
    assert all(len(charts.nth(place).get_attribute("aria-label")) > 40 for place in range(3))
    titles = tab.get_by_role("heading", level=2).all_inner_texts()
    common = {"Surprise over time", "The most surprising moments", "Scores", "Settings", "Time to learn"}
    own = {
        "symbol": {"Hit rate over time", "Calibration", "What was predicted where what came"},
        "number": {"Mean absolute error over time", "Coverage of the intervals over time", "Components and horizons"},
        "label": {"Hit rate over time", "Calibration", "What was predicted where what came"},
    }
    assert common | own[task] <= set(titles)
    for name in report["settings"]:
        assert 1 == tab.locator("tr").get_by_role("rowheader", name=name, exact=True).count(), name
    changed = tab.locator(".changed").all_inner_texts()
    assert len(report["changed_settings"]) == len(changed)
    assert any("network" in line and "not the default" in line for line in changed)
    assert f"tensorflow {report['versions']['tensorflow']}" in tab.locator("footer").inner_text()
    surprising = tab.locator("section", has=tab.get_by_role("heading", name="The most surprising moments"))
    assert len(report["most_surprising"]) == surprising.locator("tbody tr").count()
    words = tab.locator("body").inner_text()
    assert ("last label" in words) == (task == "label")


@pytest.mark.parametrize("task", WAYS)
@pytest.mark.parametrize("width", [320, 390, 1100])
def test_nothing_is_wider_than_the_screen(
    reports: dict[str, dict[str, Any]], load: Callable[..., Any], task: str, width: int
) -> None:
    """Of the wide charts that one is shown which fits."""
    tab = load(render(reports[task]), width)
    assert width >= tab.evaluate("document.documentElement.scrollWidth")
    assert tab.locator(".broad").first.is_visible() == (width == 1100)
    assert tab.locator(".narrow").first.is_visible() == (width < 1100)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_that_goes_on_beyond_an_edge_has_a_shade_there(
    reports: dict[str, dict[str, Any]], load: Callable[..., Any], scheme: str
) -> None:
    """On the right at first, on the left at its end; none where all of it is seen."""

    def edges(width: int, scrolled: int) -> list[bool]:
        tab = load(render(reports["number"]), width, scheme)
        section = tab.locator("section", has=tab.get_by_role("heading", name="Components and horizons"))
        table = section.locator(".scroll")
        table.evaluate(f"table => table.scrollLeft = {scrolled}")
        picture = Image.open(io.BytesIO(table.screenshot())).convert("RGB")
        paper = tab.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
        return [f"rgb{picture.getpixel((x, 3))}" != paper for x in (2, picture.width - 3)]

    assert [False, True] == edges(320, 0)
    assert [True, False] == edges(320, 9999)
    assert [False, False] == edges(1100, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_follow_the_theme(reports: dict[str, dict[str, Any]], load: Callable[..., Any], scheme: str) -> None:
    """Words and lines stand out from the paper in both (WCAG 2: contrasts of 4.5 and 3)."""
    tab = load(render(reports["symbol"]), scheme=scheme)
    text, line = tab.evaluate(
        """() => {
            const light = text => {
                const c = text.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
            };
            const paper = light(getComputedStyle(document.querySelector("section")).backgroundColor);
            const against = colour => (Math.max(paper, light(colour)) + 0.05) / (Math.min(paper, light(colour)) + 0.05);
            const least = (what, property) => Math.min(...[...document.querySelectorAll(what)]
                .map(one => getComputedStyle(one)[property]).filter(c => c.startsWith("rgb(")).map(against));
            return [least(".broad text", "fill"), least(".broad path[clip-path]:not([style*='--line'])", "stroke")];
        }"""
    )
    assert text >= 4.5
    assert line >= 3
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (scheme == "dark")
    tab.emulate_media(media="print")  # on paper it is light
    paper, ink = tab.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert ("rgb(255, 255, 255)", "rgb(28, 31, 35)") == (paper, ink)


def test_values_and_keys_are_data(load: Callable[..., Any]) -> None:
    """What looks like markup is shown as it is, and runs nowhere."""
    value = json.dumps(HOSTILE).encode()
    lines = [Line(number, (value, b'"b"', b'"c"')[number * number % 3], HOSTILE.encode()) for number in range(60)]
    report = report_of("symbol", lines) | {"file": HOSTILE}
    tab = load(render(report))
    assert f"{HOSTILE}: backtest" == tab.title()
    assert 0 == tab.locator("img, script").count()
    assert HOSTILE[:15] in tab.locator(".matrix").inner_text()


def test_the_same_figures_give_the_same_page(reports: dict[str, dict[str, Any]]) -> None:
    """It has neither times nor random names, no script, and nothing to load."""
    page = render(reports["number"])
    assert page == render(reports["number"])
    assert b"<script" not in page
    assert set(re.findall(rb"https?://[^\"' ]*", page)) <= {
        b"http://www.w3.org/2000/svg",
        b"http://www.w3.org/1999/xlink",
    }
    assert not re.findall(rb'(?:src|[^:]href)="[^#]', page)
    assert len(page) < 1_000_000


def test_where_nothing_was_scored_it_says_so(load: Callable[..., Any]) -> None:
    """Of one value, and of what was not learned."""
    one = report_of("symbol", [Line(0, b"4")])
    words = load(render(one)).locator("body").inner_text()
    assert "Nothing was scored, so there is nothing to tell." in words
    assert "Nothing was scored: too few values came." in words
    assert "Task symbol, 1 value, 1 stream" in words
    frozen = report_of("symbol", [Line(place, b"4") for place in range(9)], learn="false")
    words = load(render(frozen)).locator("body").inner_text()
    assert "learn is false" in words
    assert "predicted and not learned" in words
    two = report_of("symbol", [Line(place, b"4") for place in range(2)])
    assert "Too little to tell: only 1 prediction could be judged." in load(render(two)).locator("body").inner_text()


def test_a_scaled_error_that_is_not_known_is_no_chart(
    load: Callable[..., Any], reports: dict[str, dict[str, Any]]
) -> None:
    """It says why instead, without an empty picture."""
    report = reports["number"]
    curve = report["curve"] | {"scaled_error": [None] * len(report["curve"]["events"])}
    tab = load(render(report | {"curve": curve, "most_surprising": []}))
    section = tab.locator("section", has=tab.get_by_role("heading", name="Surprise over time"))
    assert "Not known: an error is scaled by those of the last value, which had none." in section.inner_text()
    assert 0 == section.locator("figure").count()


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("task", WAYS)
def test_short_inputs_have_a_page(task: str, count: int) -> None:
    """Whatever of it there is too little for: a curve, intervals, labels."""
    page = render(report_of(task, lines_of(task, count))).decode()
    assert "</html>" in page
    assert not re.search(r"\bnan\b", page)


@pytest.mark.parametrize("points", [[1.0, 1e300, 2.0], [None, None, None], [0.0, 0.0, 0.0], [1e-300, 2e-300, 0.0]])
def test_charts_can_be_drawn_of_anything(points: list[float | None]) -> None:
    """Of errors without bound, of gaps alone, of nothing but zeros."""
    curve = ChartSeries("error", [1, 2, 3], points, "own")
    assert line_chart([curve], x="values so far", y="error", moments=[2]).count("<svg") == 1


def test_drifts_are_marked_and_their_recovery_told(
    reports: dict[str, dict[str, Any]], load: Callable[..., Any]
) -> None:
    """On every chart over time, and in a table; a mark for each, and one word for all."""
    drift = {"event": 300, "line": 301, "stream": "<b>", "level_before": 0.9, "recovered_after": 77}
    report = reports["symbol"] | {"recoveries": [drift, drift | {"event": 500, "recovered_after": None}]}
    tab = load(render(report))
    table = tab.locator("section", has=tab.get_by_role("heading", name="Drifts, and recovery from them"))
    assert ["300\t<b>\t0.9\t77", "500\t<b>\t0.9\tnever"] == table.locator("tbody tr").all_inner_texts()
    assert 3 == sum("drift" in text for text in tab.locator("svg text").all_text_contents())  # broad, narrow, surprise


def test_passes_over_a_file_are_told(tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of what is held out, and the losses of all passes."""
    known: dict[Any, Any] = {}
    monkeypatch.setattr(
        warm_start_file, "model_factory", lambda _: lambda how: known.setdefault(how, small_network(how))
    )
    file, page = tmp_path / "values.txt", tmp_path / "page.html"
    file.write_bytes(b"".join(value + b"\n" for value in demo_stream(300)))
    assignments = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    assert ExitCode.OK == main.main(["backtest", str(file), *assignments, "--epochs", "2", "--report", str(page)])
    tab = load(page.read_bytes())
    assert "Losses by epoch" in tab.locator("body").inner_text()
    assert "60 values, 1 stream; held out" in tab.locator("header").inner_text()
    table = tab.locator("section", has=tab.get_by_role("heading", name="Epochs", exact=True))
    assert 2 == table.locator("tbody tr").count()
