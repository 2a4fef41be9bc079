"""Makes the pictures of these pages: `make screenshots`.

A daemon learns the demo's stream from a real broker, slowly enough for its curve to show; the page that it serves, what
`watch` shows and a report of `backtest` are taken in Chromium and by rich. Nothing of it is drawn by hand.
"""

import io
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from online_lstm.cli.main import main as online_lstm
from online_lstm.devtools.daemon_process import DaemonProcess
from online_lstm.devtools.kafka_jars import write_line
from online_lstm.devtools.local_kafka import local_broker
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode
from online_lstm.settings import Settings, read_settings
from online_lstm.streaming.kafka import ensure_topics
from online_lstm.streaming.kafka.plain_clients import PlainProducer, TopicTail
from online_lstm.terminal.live_view import LiveView
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.padding import Padding

IMAGES = Path(__file__).parent / "images"
EXAMPLES = Path(__file__).parent / "examples"
EVENTS = 450
EVENTS_PER_S = 25
COLOURS = 128
"""Of a picture; more would not be seen, and make it larger."""
TERMINAL_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture in Chromium: what is shown, and the window's width and height in pixels."""

    of: Literal["page", "report"]
    scheme: Literal["light", "dark"]
    size: tuple[int, int]


SHOTS = {
    "page-light.png": Shot("page", "light", (1100, 930)),
    "page-dark.png": Shot("page", "dark", (1100, 930)),
    "page-phone.png": Shot("page", "light", (390, 844)),
    "report.png": Shot("report", "light", (1100, 1000)),
}
TERMINALS = ("watch.svg",)
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}" \
width="{terminal_width}" height="{terminal_height}">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width }}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#16181d" width="{terminal_width}" height="{terminal_height}" rx="8"/>
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</svg>
"""
"""What rich writes around the text, without the font that it would load from elsewhere."""


def main() -> int:
    """Make all pictures again."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="online-lstm-screenshots-")))
        write_line("learning the demo's stream")
        settings, daemon = stack.enter_context(learning(folder))
        browser = stack.enter_context(chromium())
        urls = {"page": daemon.url, "report": report(folder).as_uri()}
        for name, shot in SHOTS.items():
            write_line(f"{name}: {shot.size[0]} x {shot.size[1]}")
            take(browser, urls[shot.of], shot, IMAGES / name)
        write_line("watch.svg")
        IMAGES.joinpath("watch.svg").write_text(terminal(settings), encoding="utf-8")
    return 0


@contextmanager
def learning(folder: Path) -> Iterator[tuple[Settings, DaemonProcess]]:
    """Run a broker and a daemon that has just learned the demo's stream, as it came."""
    with local_broker(announce=write_line) as bootstrap:
        given: dict[str, object] = {"bootstrap_servers": bootstrap}
        settings = read_settings(given, environment={})
        ensure_topics(settings)
        with DaemonProcess(folder, given) as daemon:
            daemon.wait_until_ready()
            with PlainProducer(settings, settings.input_topics[0]) as publisher:
                began = time.monotonic()
                for number, value in enumerate(demo_stream(EVENTS)):
                    time.sleep(max(0.0, began + number / EVENTS_PER_S - time.monotonic()))
                    publisher.send(value)
            yield settings, daemon


def report(folder: Path) -> Path:
    """Write the report that `reports.md` begins with."""
    path = folder / "report.html"
    columns = ["--column", "value", "--key-column", "window"]
    if online_lstm(["backtest", str(EXAMPLES / "online-loop.csv"), *columns, "--report", str(path)]) != ExitCode.OK:
        sys.exit("there is no report")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser that is installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("chromium is not installed; `make tools` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def take(browser: Browser, url: str, shot: Shot, path: Path) -> None:
    """Write what the top of a page looks like."""
    width, height = shot.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=shot.scheme)
    page = context.new_page()
    page.goto(url)
    if shot.of == "page":
        page.get_by_role("status").get_by_text("live").wait_for()
        page.locator("#streams tr").first.wait_for()
    page.screenshot(path=path)
    context.close()
    reduced = Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


def terminal(settings: Settings) -> str:
    """Draw the live view of `watch` after all that was published."""
    screen = LiveView(settings.output_topic)
    with closing(TopicTail(settings, settings.output_topic, from_beginning=True)) as follower:
        records = follower.follow(lambda: None)
        for _ in range(EVENTS):
            screen.add(next(records))
    console = Console(record=True, width=TERMINAL_WIDTH, file=io.StringIO())
    console.print(Padding(screen.render(), 1))
    return console.export_svg(code_format=_FRAME, unique_id="watch")


if __name__ == "__main__":
    sys.exit(main())
