"""``online-lstm run``: the daemon, put together from its parts."""

import argparse
import os
import signal
from typing import TYPE_CHECKING, Any

from daemon import __version__, logs
from daemon.commands.options import add_settings, settings_of
from daemon.errors import ExitCode
from daemon.indicators import words_of
from daemon.logs import EventLogger
from daemon.settings import Settings
from daemon.settings_sources import service_links
from daemon.shutdown import Shutdown, exit_at_once

if TYPE_CHECKING:
    from daemon.reports import Report

HELP = "learn from the input topics and publish predictions, until a signal"
_log = EventLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take every setting."""
    add_settings(parser)


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run until a signal."""
    settings = settings_of(arguments)
    settings.require_consistent()
    logs.configure(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    changed = {n: v for n, v in settings if v != type(settings).model_fields[n].default}
    _log.info("starting", version=__version__, **changed)
    if ignored := service_links(os.environ):
        _log.info("variables of Kubernetes Services ignored", names=ignored)
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
        for misfit in ensure_topics(settings):  # once the port is known to be free
            metrics.observe(misfit)
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
            sink=TransactionalSink(settings, observe) if exactly_once else AtLeastOnceSink(settings, source, observe),
            store=store,
            network_for=network_for,
            observer=observe,
            health=health,
            warm_start=warm_start,
        )

        def stop(number: signal.Signals) -> None:
            _log.info("stopping", signal=number.name)
            service.stop()

        # a second signal loses nothing: what is not committed is read again
        with Shutdown(stop, on_second=exit_at_once):
            _log.info("serving", url=f"http://{settings.http_host}:{web.port}")
            service.run()
    finally:
        web.stop()


def about(settings: Settings) -> dict[str, Any]:
    """Say what the page tells of a daemon that does not change while it runs."""
    names = ("task", "stream_by", "input_topics", "output_topic", "group_id", "horizons", "channels", "coverage")
    words = {name: words_of(name, settings.task) for name in settings.baselines}
    return {**{name: getattr(settings, name) for name in names}, "words": words, "version": __version__}
