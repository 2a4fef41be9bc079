"""The live page in a real browser: what a person sees of a daemon that learns."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from online_lstm.cli.run import about
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.observability.dashboard import DashboardState
from online_lstm.observability.http_server import Health, WebServer
from online_lstm.settings import Settings
from online_lstm.telemetry import AssignmentChanged, BatchCommitted, CheckpointFinished, Hint, InputObserved
from playwright.sync_api import Browser, Page
from support.fakes import SOURCES, record, small_network, small_settings
from support.tcp_proxy import free_port

HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
SOURCE = SOURCES[0]


class Daemon:
    """A partition, and the web server that shows it; no Kafka."""

    def __init__(self, settings: Settings, port: int = 0) -> None:
        self.settings = settings
        self.health = Health()
        self.health.ready()
        self.board = DashboardState(about(settings), baselines=settings.baselines)
        self.web = WebServer(
            "127.0.0.1", port, render=lambda _: (b"", "text/plain"), health=self.health, view=self.board
        )
        self.web.start()
        mark = next_metadata(settings, SOURCE, 0, initial_metadata(1))
        networks = small_network if settings.task == "symbol" else model_factory(settings)
        self._partition = Partition(settings, SOURCE, mark, networks)
        self._offset = 0
        self.board.observe(AssignmentChanged(assigned=(SOURCE,)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web.port}/"

    def learn(self, values: list[bytes], key: bytes | None = None, checkpoint_offset: int | None = None) -> None:
        records = [record(self._offset + place, value, key) for place, value in enumerate(values)]
        self._offset += len(records)
        done = self._partition.process(records)
        tally = done.tally
        self.board.observe(
            BatchCommitted(
                source=SOURCE,
                events=tally.events,
                scored=tally.scored,
                hits=tally.hits,
                fit_steps=tally.fit_steps,
                skipped_steps=0,
                dead_letters=tuple(tally.dead_letters.items()),
                evicted_streams=0,
                drifts=tally.drifts,
                step_seconds=tally.seconds,
                lag_records=0,
                last_timestamp_ms=0,
                outputs=done.outputs,
            )
        )
        self.board.observe(self._partition.report(checkpoint_offset))


@pytest.fixture
def start() -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def begin(port: int = 0, **given: Any) -> Daemon:
        started.append(Daemon(small_settings(**given), port))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.web.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "ERR_" not in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [] == complaints


def test_it_tells_at_a_glance_how_the_daemon_stands(start: Callable[..., Daemon], page: Page) -> None:
    """Does it learn, is it better, does it keep up, is it safe to restart."""
    daemon = start()
    daemon.learn(list(demo_stream(300)))
    daemon.board.observe(CheckpointFinished(SOURCE, 300, "written"))
    page.goto(daemon.url)
    page.get_by_role("status").get_by_text("live").wait_for()
    shown = daemon.board.snapshot()
    tiles = page.locator(".tile")
    assert 5 == tiles.count()
    assert f"{100 * shown['hit_rate']:.1f} %" == tiles.nth(0).locator("strong").inner_text()
    assert "300 values learned" in tiles.nth(0).inner_text()
    assert "up to date" in tiles.nth(3).inner_text()
    assert "saved" in tiles.nth(4).inner_text()
    assert 100 == page.locator("#strip span").count()
    assert 1 <= page.locator("#strip .hit").count() <= 100
    assert 4 == page.locator("#legend span").count()
    assert 4 == page.locator("#curve circle").count()
    assert "task symbol" in page.locator("#about").inner_text()


def test_it_follows_what_happens(start: Callable[..., Daemon], page: Page) -> None:
    """New values appear within a moment, without loading anything again."""
    daemon = start()
    page.goto(daemon.url)
    page.get_by_text("nothing scored yet").first.wait_for()
    daemon.learn([b'"closed"', b'"open"', b'"closed"'])
    page.locator("#next").get_by_text("after closed").wait_for()
    daemon.health.not_ready("no broker answers")
    page.get_by_role("status").get_by_text("no broker answers").wait_for()


def test_it_survives_a_restart_of_the_daemon(start: Callable[..., Daemon], page: Page) -> None:
    """It says that nobody answers, and goes on with the next process."""
    first = start(free_port())  # kept while nobody listens, since the browser goes on calling it
    first.learn(list(demo_stream(50)))
    page.goto(first.url)
    page.get_by_text("50 values learned").wait_for()
    first.web.stop()
    page.get_by_role("status").get_by_text("the daemon does not answer").wait_for()
    second = start(first.web.port)
    second.learn(list(demo_stream(30)))
    page.get_by_text("30 values learned").wait_for()
    assert 30 == page.locator("#strip span").count()


def test_values_and_keys_are_data(start: Callable[..., Daemon], page: Page) -> None:
    """What looks like markup is shown as it is, and runs nowhere."""
    daemon = start()
    daemon.learn([json.dumps(HOSTILE).encode()] * 3, key=HOSTILE.encode())
    page.goto(daemon.url)
    page.locator("#streams tr").first.click()
    page.locator("#detail").get_by_role("heading").wait_for()
    assert HOSTILE in page.locator("#detail h2").inner_text()
    assert HOSTILE in page.locator("#next").inner_text()
    assert 0 == page.locator("img").count()
    assert 1 == page.locator("script").count()
    assert "online-lstm" == page.title()


def test_streams_can_be_searched_and_looked_into(start: Callable[..., Daemon], page: Page) -> None:
    """By a part of the key; a click or Enter shows what the stream said last."""
    daemon = start(max_streams=50)
    for number in range(12):
        daemon.learn([b"1", b"2", b"1"], key=f"pump-{number}".encode())
    daemon.learn([b"7"] * 5, key=b"a/b?c#d")
    page.goto(daemon.url)
    page.get_by_text("13 of the 13 streams").wait_for()
    page.get_by_role("searchbox").fill("A/B")
    page.get_by_text("1 of the 13 streams").wait_for()
    page.locator("#streams tr").first.press("Enter")
    page.get_by_role("heading", name="Stream a/b?c#d").wait_for()
    assert 5 == page.locator("#detail .strip span").count()


@pytest.mark.parametrize(("offset", "words"), [(0, "not saved yet"), (300, "saved before")])
def test_what_was_restored_is_saved(start: Callable[..., Daemon], page: Page, offset: int, words: str) -> None:
    """A daemon that has just come back has its checkpoint, though it has written none itself."""
    daemon = start()
    daemon.learn(list(demo_stream(30)), checkpoint_offset=offset)
    page.goto(daemon.url)
    page.locator(".tile").nth(4).get_by_text(words).wait_for()


def test_each_number_has_a_line_and_the_first_an_interval(start: Callable[..., Daemon], page: Page) -> None:
    """Which horizon a number is for is said; of what came, three digits have room."""
    daemon = start(task="number", horizons=(1, 3))
    daemon.learn([b"%d" % (100 + 10 * (place % 5)) for place in range(60)])
    page.goto(daemon.url)
    page.locator("#next .foretold").first.wait_for()
    lines = page.locator("#next .foretold").all_inner_texts()
    assert ["1 ahead: ", "3 ahead: "] == [line[:9] for line in lines]
    assert all(" … " in line for line in lines)
    assert 1 == page.locator("#series polygon").count()
    assert page.locator("#strip span").evaluate_all("all => all.every(each => each.scrollWidth <= each.clientWidth)")
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.locator("#strip span").evaluate_all("all => all.every(each => each.scrollWidth <= each.clientWidth)")


def test_a_thousand_streams_are_no_burden(start: Callable[..., Daemon], page: Page) -> None:
    """What is sent a second does not grow with them; fifty are listed."""
    daemon = start(max_streams=1000)
    for number in range(1000):
        daemon.learn([b"1"], key=b"%d" % number)
    sent = len(json.dumps(daemon.board.snapshot(daemon.board.snapshot()["said"], daemon.board.snapshot()["drawn"])))
    assert sent < 2000
    page.goto(daemon.url)
    page.get_by_text("1,000 of the 1,000 streams").wait_for()
    assert 50 == page.locator("#streams tr").count()


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_nothing_is_wider_than_the_screen(start: Callable[..., Daemon], page: Page, width: int) -> None:
    """Also on a phone."""
    daemon = start()
    daemon.learn([json.dumps("a long value " * 20).encode(), b"1"] * 60, key=b"a long key " * 20)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(daemon.url)
    page.get_by_text("1 of the 1 streams").wait_for()
    assert width >= page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_a_light_and_a_dark_side(start: Callable[..., Daemon], page: Page, scheme: Any) -> None:
    """Text stands out from the paper in both (WCAG 2: a contrast of at least 4.5)."""
    daemon = start()
    daemon.learn(list(demo_stream(60)))
    page.emulate_media(color_scheme=scheme)
    page.goto(daemon.url)
    page.get_by_text("60 values learned").wait_for()
    contrast = page.evaluate(
        """() => {
            const light = text => {
                const c = text.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
            };
            const of = (text, paper) => {
                const [a, b] = [light(getComputedStyle(document.querySelector(text)).color),
                                light(getComputedStyle(document.querySelector(paper)).backgroundColor)];
                return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            };
            return [of("body", "body"), of(".note", "section.wide"), of("#about", "body"), of(".tile p", ".tile")];
        }"""
    )
    assert min(contrast) >= 4.5
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (scheme == "dark")


def test_the_first_thing_to_see_says_whether_it_works(start: Callable[..., Daemon], page: Page) -> None:
    """A sentence, with how long it took to learn; and what stands in the way, if something does."""
    daemon = start(score_window=500)
    page.goto(daemon.url)
    headline = page.locator("#headline")
    headline.get_by_text("Waiting for the first value").wait_for()
    daemon.learn([b"%d" % (place % 5) for place in range(60)])
    headline.get_by_text("Still learning: ").wait_for()
    for _ in range(6):
        daemon.learn([b"%d" % (place % 5) for place in range(100)])
    headline.get_by_text("It works: ").wait_for()
    assert "repeating the last value" in headline.inner_text() or "always saying" in headline.inner_text()
    assert "The hit rate came to 95 % of its present level within " in headline.inner_text()
    assert "wide good" == headline.get_attribute("class")
    daemon.health.not_ready("no broker answers")
    headline.get_by_text("It does not predict just now: no broker answers.").wait_for()
    daemon.web.stop()
    headline.get_by_text("The daemon does not answer").wait_for()


def test_a_change_of_the_stream_is_marked(start: Callable[..., Daemon], page: Page) -> None:
    """In the sentence, and as a line across the curve that says what it is."""
    daemon = start(score_window=500)
    page.goto(daemon.url)
    page.get_by_text("nothing scored yet").first.wait_for()
    for _ in range(6):
        daemon.learn([b"%d" % (place % 5) for place in range(100)])
    page.get_by_text("600 values learned").wait_for()
    assert 0 == page.locator("#curve .drift").count()
    daemon.learn([b"%d" % (1000 + place) for place in range(30)])  # nobody can know any of them
    page.locator("#headline").get_by_text("The stream changed").wait_for()
    assert 1 == page.locator("#curve line.drift").count()
    title = page.locator("#curve line.drift title").text_content() or ""
    assert title.startswith("the stream changed, after 6")
    assert "the stream changed" in page.locator("#legend").inner_text()


def test_of_numbers_the_error_is_shown(start: Callable[..., Daemon], page: Page) -> None:
    """As the curve, with an axis that fits it; beside it skill, and whether the intervals hold."""
    daemon = start(task="number", score_window=500, seasonal_periods="7")
    for first in range(0, 400, 50):
        daemon.learn([b"%d" % (1000 + 300 * (place % 7)) for place in range(first, first + 50)])
    page.goto(daemon.url)
    page.locator("#headline").get_by_text("were off by").wait_for()
    shown = daemon.board.snapshot()["numbers"]
    tiles = page.locator(".tile")
    assert 5 == tiles.count()
    assert shown["error"] == pytest.approx(float(tiles.nth(0).locator("strong").inner_text()), rel=1e-3)
    assert "within tolerance" in tiles.nth(0).inner_text()
    assert f"{100 * abs(shown['skill']):.1f} % " in tiles.nth(1).locator("strong").inner_text()
    assert f"{100 * shown['interval_coverage']:.1f} %" == tiles.nth(2).locator("strong").inner_text()
    assert "the target is 90.0 %" in tiles.nth(2).inner_text()
    assert "Mean absolute error, against doing nothing clever" == page.locator("#curve-title").inner_text()
    assert 3 == page.locator("#curve path").count()
    ticks = [float(tick) for tick in page.locator("#curve text").all_text_contents() if ":" not in tick]
    highest = max(error for point in daemon.board.snapshot()["curve"] for error in point["errors"])
    assert 0 == ticks[0]
    assert highest <= ticks[-1] <= 2.5 * highest
    assert 3 <= len(ticks) <= 7


def test_of_labels_the_last_one_is_called_a_label(start: Callable[..., Daemon], page: Page) -> None:
    """In the legend; the name in JSON stays."""
    daemon = start(task="label", features=1)
    for number in range(20):
        daemon.learn([b'{"value": %d, "end": true, "label": %d}' % (number % 2, number % 2)], key=b"%d" % number)
    page.goto(daemon.url)
    page.locator("#legend").get_by_text("last label").wait_for()
    assert "last_value" in daemon.board.snapshot()["baseline_hit_rates"]


def test_what_a_hit_rate_is_worth_is_shown(start: Callable[..., Daemon], page: Page) -> None:
    """Kappa-temporal beside the lift, and the surprise of the last value."""
    daemon = start()
    daemon.learn(list(demo_stream(300)))
    page.goto(daemon.url)
    page.get_by_text("300 values learned").wait_for()
    shown, tiles = daemon.board.snapshot(), page.locator(".tile")
    assert f"kappa-temporal {shown['kappa_temporal']:.2f}" in tiles.nth(1).inner_text()
    assert f"{shown['surprise_bits']:.1f} bits" == tiles.nth(2).locator("strong").inner_text()


def test_hints_are_listed_below_the_sentence(start: Callable[..., Daemon], page: Page) -> None:
    """Each with its partition; the one that is the sentence itself is not told twice."""
    daemon = start()
    numbers, keys = Hint("look_like_numbers", "these look like numbers"), Hint("keys_never_return", "no key came twice")
    daemon.learn(list(demo_stream(120)))
    daemon.board.observe(InputObserved(SOURCE, 0, 0.0, (keys, numbers)))
    page.goto(daemon.url)
    page.get_by_text("No key came twice.", exact=True).wait_for()
    assert ["numbers/0: these look like numbers"] == page.locator("#hints li").all_inner_texts()
    daemon.board.observe(InputObserved(SOURCE, 0, 0.0))
    page.locator("#hints li").wait_for(state="detached")
