"""``online-lstm run``: the daemon, which learns from the input topics and publishes predictions."""

import argparse
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from online_lstm import __version__, logs
from online_lstm.cli.options import add_settings, settings_of
from online_lstm.errors import ExitCode
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings, require_consistent
from online_lstm.settings.sources import service_links
from online_lstm.shutdown import Shutdown, exit_at_once
from online_lstm.significance import words_of

if TYPE_CHECKING:
    from online_lstm.learning.network import LearningSettings, Model
    from online_lstm.telemetry import TelemetryEvent

_log = EventLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting."""
    add_settings(parser)


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run until a signal."""
    settings = settings_of(arguments)
    require_consistent(settings)
    logs.configure(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    changed = {n: v for n, v in settings if v != type(settings).model_fields[n].default}
    _log.info("starting", version=__version__, **changed)
    if ignored := service_links(os.environ):
        _log.info("variables of Kubernetes Services ignored", names=ignored)
    run(settings)
    return ExitCode.OK


def run(settings: Settings) -> None:
    """Build the components, lowest layer first, and run the service loop."""
    from online_lstm.checkpoint import CheckpointStore
    from online_lstm.checkpoint.warm_start_file import read_warm_start
    from online_lstm.codec import REASONS
    from online_lstm.learning.learner_factory import warm_up
    from online_lstm.learning.model_factory import model_factory
    from online_lstm.learning.network import fingerprint, load_tensorflow
    from online_lstm.learning.partition import learning_settings
    from online_lstm.observability.dashboard import DashboardState
    from online_lstm.observability.http_server import Health, WebServer
    from online_lstm.observability.log_summary import LogSummary
    from online_lstm.observability.prometheus import PrometheusMetrics
    from online_lstm.streaming.kafka import AtLeastOnceProducer, GroupConsumer, TransactionalProducer, ensure_topics
    from online_lstm.streaming.schema_registry import registry_of
    from online_lstm.streaming.service import Service

    warm_start = read_warm_start(settings)
    network_for = model_factory(settings)
    network = network_for(learning_settings(settings))  # an invalid layer is reported before anything is started
    health = Health()
    store = CheckpointStore(settings.checkpoint_url, settings.group_id, origin=fingerprint())
    store.require_writable()
    metrics = PrometheusMetrics(
        baselines=settings.baselines,
        experts=settings.experts,
        reasons=REASONS,
        build=fingerprint(),
        interval_level=settings.interval_level,
    )
    board = DashboardState(about(settings), baselines=settings.baselines)
    web = WebServer(settings.http_host, settings.http_port, render=metrics.render, health=health, view=board)
    web.start()
    try:
        for misfit in ensure_topics(settings):  # once the port is known to be free
            metrics.observe(misfit)
        load_tensorflow()  # stops all threads for seconds: before this member has to send heartbeats
        compiler = ThreadPoolExecutor(1, "compiler")
        compiled = compiler.submit(warm_up, settings, network)  # while the broker lets this member into the group
        compiler.shutdown(wait=False)

        def compiled_network_for(learning: "LearningSettings") -> "Model":
            compiled.result()
            return network_for(learning)

        source = GroupConsumer(settings)
        summary = LogSummary()

        def observe(report: "TelemetryEvent") -> None:
            metrics.observe(report)
            summary.observe(report)
            board.observe(report)

        exactly_once = settings.delivery == "exactly_once"
        service = Service(
            settings,
            source=source,
            sink=TransactionalProducer(settings, observe)
            if exactly_once
            else AtLeastOnceProducer(settings, source, observe),
            store=store,
            network_for=compiled_network_for,
            observer=observe,
            health=health,
            warm_start=warm_start,
            schemas=registry_of(settings),
        )

        def stop(number: signal.Signals) -> None:
            _log.info("stopping", signal=number.name)
            service.stop()

        # a second signal loses nothing: uncommitted records are read again
        with Shutdown(stop, on_second=exit_at_once):
            _log.info("serving", url=f"http://{settings.http_host}:{web.port}")
            service.run()
    finally:
        web.stop()


def about(settings: Settings) -> dict[str, Any]:
    """Return the facts for the live page that do not change while the daemon runs."""
    names = ("task", "stream_by", "input_topics", "output_topic", "group_id", "horizons", "channels", "interval_level")
    words = {name: words_of(name, settings.task) for name in settings.baselines}
    return {**{name: getattr(settings, name) for name in names}, "words": words, "version": __version__}
