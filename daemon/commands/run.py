"""``online-lstm run``: the daemon, put together from its parts."""

import argparse
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from daemon import __version__, logs
from daemon.commands.options import add_settings, settings_of
from daemon.errors import ExitCode
from daemon.indicators import words_of
from daemon.settings import Settings

if TYPE_CHECKING:
    from daemon.reports import Report

HELP = "learn from the input topics and publish predictions, until a signal"
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take every setting."""
    add_settings(parser)


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run until SIGTERM or SIGINT."""
    settings = settings_of(arguments)
    settings.require_consistent()
    logs.configure(level=settings.log_level, style=settings.log_format)
    changed = {n: v for n, v in settings if v != type(settings).model_fields[n].default}
    _log.info("starting version=%s %s", __version__, logs.fields(changed))
    run(settings)
    return ExitCode.OK


def run(settings: Settings) -> None:
    """Build the parts, lowest first, and run the loop."""
    from daemon.board import Board
    from daemon.broker import AtLeastOnceSink, KafkaSource, TransactionalSink, ensure_topics
    from daemon.checkpoint import CheckpointStore
    from daemon.codec import REASONS
    from daemon.commands.networks import networks_of
    from daemon.commands.warm_starts import warm_start_of
    from daemon.learners import rehearse
    from daemon.metrics import Metrics
    from daemon.network import fingerprint
    from daemon.partition import learning_of
    from daemon.service import Service
    from daemon.summary import Summary
    from daemon.web import Health, WebServer

    warm_start = warm_start_of(settings)
    network_for = networks_of(settings)
    network = network_for(learning_of(settings))  # a wrong layer is told before anything is started
    health = Health()
    store = CheckpointStore(settings.checkpoint_url, settings.group_id, origin=fingerprint())
    store.require_writable()
    metrics = Metrics(
        baselines=settings.baselines,
        experts=settings.experts,
        reasons=REASONS,
        build=fingerprint(),
        coverage=settings.coverage,
    )
    board = Board(about(settings), baselines=settings.baselines)
    web = WebServer(settings.http_host, settings.http_port, render=metrics.render, health=health, view=board)
    web.start()
    try:
        ensure_topics(settings)  # once the port is known to be free
        source = KafkaSource(settings)
        rehearse(settings, network)
        summary = Summary()

        def observe(report: "Report") -> None:
            metrics.observe(report)
            summary.observe(report)
            board.observe(report)

        exactly_once = settings.delivery == "exactly_once"
        service = Service(
            settings,
            source=source,
            sink=TransactionalSink(settings) if exactly_once else AtLeastOnceSink(settings, source),
            store=store,
            network_for=network_for,
            observer=observe,
            health=health,
            warm_start=warm_start,
        )
        with stopping_on_signals(service.stop):
            _log.info("serving url=http://%s:%d", settings.http_host, web.port)
            service.run()
    finally:
        web.stop()


def about(settings: Settings) -> dict[str, Any]:
    """Say what the page tells of a daemon that does not change while it runs."""
    names = ("task", "stream_by", "input_topics", "output_topic", "group_id", "horizons", "channels", "coverage")
    words = {name: words_of(name, settings.task) for name in settings.baselines}
    return {**{name: getattr(settings, name) for name in names}, "words": words, "version": __version__}


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGTERM or SIGINT; a second one ends the process at once.

    Nothing is lost by that: what is not committed is read again.
    """
    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        _log.info("stopping signal=%s", signal.Signals(number).name)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
