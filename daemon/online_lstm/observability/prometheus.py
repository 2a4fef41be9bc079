"""The numbers that Prometheus reads; all of prometheus_client is here.

Knows reports, not what made them. The work is done once per report, never per event.
Label sets are closed: an assigned partition has every counter at 0, a revoked one no series at all.
Its length is that of the catalogue of metrics, which is best read in one piece.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, product
from typing import Any, TypeVar, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from online_lstm import __version__
from online_lstm.codec.forms import FORMS, REFUSED_OUTPUT
from online_lstm.events import BASELINES, TopicPartition
from online_lstm.significance import lift
from online_lstm.telemetry import (
    HINTS,
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    CheckpointResult,
    InputObserved,
    LineageReason,
    LineageStarted,
    OutputFormChanged,
    PartitionStats,
    TelemetryEvent,
    TopicMisfits,
    TransactionEnded,
)

NAMESPACE = "online_lstm"
STEP_BUCKETS_S = (25e-6, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 1.0)
WAIT_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_Metric = TypeVar("_Metric", Counter, Gauge)


class PrometheusMetrics:
    """One registry and how reports change it; it may be rendered on any thread.

    Counters of a partition begin at 0 when it is assigned, gauges appear once their value is known.

    Args:
        baselines: Names of the baselines, in the order in which reports list them.
        experts: Names of the experts, likewise.
        reasons: Every reason that a dead letter can have.
        build: What runs beside this version of the daemon: label names and values of ``build_info``.
        coverage: Share of the numbers that intervals are to hold; None where there are none.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        baselines: Sequence[str],
        experts: Sequence[str],
        reasons: Sequence[str],
        build: Mapping[str, str],
        coverage: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # By default each counter has a second series that says when it began; Prometheus 2 would store it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._clock = clock
        self._coverage_wanted = coverage
        self._baselines = tuple(baselines)
        self._experts = tuple(experts)
        self._last_batches: dict[TopicPartition, BatchCommitted | None] = {}
        self._lags: dict[TopicPartition, int] = {}
        self._of_partitions: list[tuple[Counter | Gauge, list[tuple[str, ...]]]] = []
        self._observe_kind: Mapping[type[TelemetryEvent], Callable[[Any], None]] = {
            AssignmentChanged: self._observe_assignment,
            BatchCommitted: self._observe_batch,
            CheckpointFinished: self._observe_checkpoint,
            OutputFormChanged: self._observe_form,
            InputObserved: self._observe_input,
            LineageStarted: self._observe_lineage,
            PartitionStats: self._observe_partition,
            TopicMisfits: self._observe_topic,
            TransactionEnded: self._observe_transaction,
        }
        self._add_counters(reasons)
        self._add_gauges()
        self._add_process(build)
        self._add_histograms()

    def observe(self, report: TelemetryEvent) -> None:
        """Take note of a report; those of partitions that are no longer assigned would bring series back."""
        source = getattr(report, "source", None)
        if source is None or source in self._last_batches:
            self._observe_kind[type(report)](report)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Give all metrics and their content type, as OpenMetrics if the ``Accept`` header asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _of_partition(self, kind: type[_Metric], name: str, text: str, **further: Sequence[str]) -> _Metric:
        """Register a metric by topic, partition and ``further`` labels, each with all its values."""
        metric = kind(name, text, ("topic", "partition", *further), namespace=NAMESPACE, registry=self.registry)
        self._of_partitions.append((metric, list(product(*further.values()))))
        return metric

    def _add_counters(self, reasons: Sequence[str]) -> None:
        counter = partial(self._of_partition, Counter)
        self._events = counter("events", "Events that were learned.")
        self._scored = counter("predictions_scored", "Predictions whose value arrived.")
        self._hits = counter("hits", "Scored predictions that were right.")
        self._baseline_hits = counter(
            "baseline_hits", "Scored predictions that the baseline had right.", baseline=self._baselines
        )
        self._expert_hits = counter("expert_hits", "Scored values that the expert had right.", expert=self._experts)
        self._fit_steps = counter("fit_steps", "Optimizer steps.")
        self._skipped_steps = counter("fit_steps_skipped", "Optimizer steps not taken, as the gradient was not finite.")
        self._dead_letters = counter("dead_letters", "Records sent to the dead-letter topic.", reason=tuple(reasons))
        self._reformed = counter(
            "reformed_records",
            "Records published in another form, as their topic refuses the one they have.",
            form=FORMS,
        )
        self._evicted_streams = counter("streams_evicted", "Streams forgotten to stay within max_streams.")
        self._unlabelled = counter("sequences_unlabelled", "Sequences forgotten because their label did not come.")
        self._drifts = counter("drifts", "Times that a stream was found to have changed, as its misses rose.")
        self._checkpoints = counter(
            "checkpoints", "Checkpoints written, failed to be, or found damaged.", result=get_args(CheckpointResult)
        )
        self._lineages = counter("lineages", "Lineages that began, and why.", reason=get_args(LineageReason))
        self._lost_records = counter("lost_records", "Records that were gone from the input before they were read.")

    def _add_gauges(self) -> None:
        gauge = partial(self._of_partition, Gauge)
        self._hit_rate = gauge("hit_rate", "Share of hits among the last scored predictions, 0 to 1.")
        self._baseline_hit_rate = gauge(
            "baseline_hit_rate",
            "Share of them that the baseline had right, 0 to 1.",
            baseline=self._baselines,
        )
        self._expert_hit_rate = gauge(
            "expert_hit_rate",
            "Share of them that the expert had right, 0 to 1.",
            expert=self._experts,
        )
        self._lift = gauge("lift", "Hit rate minus that of the best baseline, -1 to 1.")
        self._kappa = gauge(
            "kappa_temporal", "Share of what the last value has wrong that the prediction has right, at most 1."
        )
        self._surprise = gauge("surprise_bits", "Surprise of the last scored value, in bits.")
        self._log_loss = gauge("log_loss_bits", "Mean surprise of the last scored values, in bits.")
        self._error = gauge("mean_absolute_error", "Mean error of the last predictions of numbers, without sign.")
        self._baseline_error = gauge("baseline_mean_absolute_error", "That of the baseline.", baseline=self._baselines)
        self._expert_error = gauge("expert_mean_absolute_error", "That of the expert.", expert=self._experts)
        self._relative_error = gauge(
            "mean_absolute_error_ratio", "Mean error without sign by the mean of the values without sign."
        )
        self._squared_error = gauge("root_mean_squared_error", "Root of the mean square of these errors.")
        self._percentage_error = gauge(
            "mean_absolute_percentage_error",
            "Mean of the errors by their values, both without sign, but of values of 0; 0.05 is 5 %.",
        )
        self._skill = gauge("skill", "1 minus the mean absolute error by that of the best baseline, at most 1.")
        self._skills = {
            name: gauge(f"skill_{name}", f"The same against the baseline {name.replace('_', ' ')} alone.")
            for name in BASELINES["number"]
        }
        self._coverage = gauge(
            "interval_coverage", "Share of the last numbers that came within their intervals, 0 to 1."
        )
        self._coverage_target = gauge(
            "interval_coverage_target", "Share of them that the intervals are to hold, 0 to 1."
        )
        self._lag_records = gauge("lag_records", "Records of the input that are yet to be read.")
        self._open_transaction = gauge(
            "open_transaction_seconds",
            "How long the records that wait have been behind another producer's open transaction, 0 if they are not.",
        )
        self._hint = gauge("hint", "1 while there is a hint that something is set wrong, else 0.", hint=tuple(HINTS))
        self._lag_seconds = gauge("lag_seconds", "Age of the last record learned while others wait, in seconds.")
        self._last_event = gauge(
            "last_event_timestamp_seconds", "Timestamp of the last record learned, in seconds since 1970."
        )
        self._last_checkpoint = gauge(
            "last_checkpoint_timestamp_seconds", "When a checkpoint was last written, in seconds since 1970."
        )
        self._checkpoint_size = gauge("checkpoint_size_bytes", "Size of the newest checkpoint, in bytes.")
        self._checkpoint_offset = gauge("checkpoint_offset", "Input offset that the newest checkpoint goes on from.")
        self._streams = gauge("streams", "Streams that are remembered.")
        self._waiting = gauge("sequences_waiting", "Streams whose sequence is over and waits for its label.")
        self._vocabulary = gauge("vocabulary_size", "Symbols in the largest vocabulary, or labels.")

    def _add_process(self, build: Mapping[str, str]) -> None:
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=self.registry)
        self._partitions = gauge("partitions_assigned", "Partitions that this process learns from.")
        self._rebalances = counter("rebalances", "Times that the partitions assigned changed.")
        self._transactions = counter("transactions", "Transactions by how they ended.", ["result"])
        for result in ("committed", "aborted"):
            self._transactions.labels(result)
        self._misfits = gauge(
            "topic_misfits",
            "1 for each setting of a topic that does not fit what is published to it, as the log says at the start.",
            ["published_topic", "setting"],
        )
        info = Info("build", "Versions of what runs.", namespace=NAMESPACE, registry=self.registry)
        info.info({"version": __version__, **build})

    def _add_histograms(self) -> None:
        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, namespace=NAMESPACE, registry=self.registry, buckets=buckets)

        self._step_seconds = _StepSeconds()
        self.registry.register(self._step_seconds)
        self._transaction_seconds = histogram(
            "transaction_seconds", "From begin to end of a transaction, in seconds.", WAIT_BUCKETS_S
        )
        self._checkpoint_seconds = histogram("checkpoint_seconds", "Writing a checkpoint, in seconds.", WAIT_BUCKETS_S)
        self._end_to_end_seconds = histogram(
            "end_to_end_seconds",
            "From the timestamp of a batch's last record to the commit of its prediction, in seconds.",
            WAIT_BUCKETS_S,
        )

    def _observe_batch(self, report: BatchCommitted) -> None:
        of = _labels(report.source)
        self._last_batches[report.source] = report
        self._events.labels(*of).inc(report.events)
        self._scored.labels(*of).inc(report.scored)
        self._hits.labels(*of).inc(report.hits)
        for baseline, hits in zip(self._baselines, report.baseline_hits, strict=True):
            self._baseline_hits.labels(*of, baseline).inc(hits)
        for expert, hits in zip(self._experts, report.expert_hits, strict=True):
            self._expert_hits.labels(*of, expert).inc(hits)
        self._fit_steps.labels(*of).inc(report.fit_steps)
        self._skipped_steps.labels(*of).inc(report.skipped_steps)
        for reason, count in report.dead_letters:
            self._dead_letters.labels(*of, reason).inc(count)
        self._evicted_streams.labels(*of).inc(report.evicted_streams)
        self._unlabelled.labels(*of).inc(report.unlabelled_sequences)
        self._drifts.labels(*of).inc(report.drifts)
        self._observe_lag(report.source, report.lag_records)
        if report.events:
            self._step_seconds.observe(report.step_seconds, events=report.events)
        if report.last_timestamp_ms >= 0:
            self._last_event.labels(*of).set(report.last_timestamp_ms / 1000)
            self._end_to_end_seconds.observe(self._age_s(report))

    def _observe_partition(self, report: PartitionStats) -> None:
        of = _labels(report.source)
        self._streams.labels(*of).set(report.streams)
        self._vocabulary.labels(*of).set(report.vocabulary)
        _set(self._waiting, of, report.waiting_sequences)
        _set(self._hit_rate, of, report.hit_rate)
        _set(self._kappa, of, report.kappa_temporal)
        _set(self._surprise, of, report.surprise_bits)
        _set(self._log_loss, of, report.log_loss_bits)
        _set(self._checkpoint_offset, of, report.checkpoint_offset)
        _set_each(self._baseline_hit_rate, of, self._baselines, report.baseline_hit_rates)
        _set_each(self._expert_hit_rate, of, self._experts, report.expert_hit_rates)
        rate, baselines = report.hit_rate, report.baseline_hit_rates
        _set(self._lift, of, None if rate is None or baselines is None else lift(rate, baselines))
        self._observe_errors(of, report)

    def _observe_input(self, report: InputObserved) -> None:
        of, names = _labels(report.source), {hint.name for hint in report.hints}
        self._observe_lag(report.source, report.lag_records)
        self._open_transaction.labels(*of).set(report.open_transaction_s)
        for name in HINTS:
            self._hint.labels(*of, name).set(name in names)

    def _observe_lag(self, source: TopicPartition, records: int) -> None:
        self._lags[source] = records
        self._lag_records.labels(*_labels(source)).set(records)

    def _observe_errors(self, of: tuple[str, str], report: PartitionStats) -> None:
        numbers, first = report.numbers, 1 + len(self._baselines)
        errors = numbers.mean_absolute_errors if numbers else None
        _set(self._error, of, errors[0] if errors else None)
        _set_each(self._baseline_error, of, self._baselines, errors[1:first] if errors else None)
        _set_each(self._expert_error, of, self._experts, errors[first:] if errors else None)
        _set(self._squared_error, of, None if numbers is None else numbers.root_mean_squared_error)
        _set(self._relative_error, of, None if numbers is None else numbers.mean_absolute_error_ratio)
        _set(self._percentage_error, of, None if numbers is None else numbers.mean_absolute_percentage_error)
        _set(self._skill, of, None if numbers is None else numbers.skill)
        for place, gauge in enumerate(self._skills.values()):
            _set(gauge, of, None if numbers is None else numbers.skills[place])
        _set(self._coverage, of, None if numbers is None else numbers.interval_coverage)
        _set(self._coverage_target, of, None if numbers is None else self._coverage_wanted)

    def _observe_checkpoint(self, report: CheckpointFinished) -> None:
        of = _labels(report.source)
        self._checkpoints.labels(*of, report.result).inc()
        if report.result == "written":
            self._checkpoint_seconds.observe(report.seconds)
            self._last_checkpoint.labels(*of).set(self._clock())
            self._checkpoint_size.labels(*of).set(report.size_bytes)
            self._checkpoint_offset.labels(*of).set(report.offset)

    def _observe_transaction(self, report: TransactionEnded) -> None:
        self._transactions.labels("committed" if report.committed else "aborted").inc()
        self._transaction_seconds.observe(report.seconds)

    def _observe_lineage(self, report: LineageStarted) -> None:
        self._lineages.labels(*_labels(report.source), report.reason).inc()
        self._lost_records.labels(*_labels(report.source)).inc(report.lost_records)

    def _observe_form(self, report: OutputFormChanged) -> None:
        self._reformed.labels(*_labels(report.source), report.form).inc(report.records)
        if report.form == "dead_letter":
            self._dead_letters.labels(*_labels(report.source), REFUSED_OUTPUT).inc(report.records)

    def _observe_topic(self, report: TopicMisfits) -> None:
        for setting, _ in report.misfits:
            self._misfits.labels(report.topic, setting).set(1)

    def _observe_assignment(self, report: AssignmentChanged) -> None:
        self._rebalances.inc()
        for source in report.revoked:
            self._last_batches.pop(source, None)
            self._lags.pop(source, None)
            for metric, further in self._of_partitions:
                for values in further:
                    metric.remove(*_labels(source), *values)
        for source in report.assigned:
            self._last_batches[source] = None
            for metric, further in self._of_partitions:
                if isinstance(metric, Counter):
                    for values in further:
                        metric.labels(*_labels(source), *values)
            # Asked for at each scrape, so that it goes on growing when the loop stands still.
            self._lag_seconds.labels(*_labels(source)).set_function(partial(self._lag_s, source))
        self._partitions.set(len(self._last_batches))

    def _lag_s(self, source: TopicPartition) -> float:
        batch = self._last_batches.get(source)
        if batch is None or not self._lags.get(source) or batch.last_timestamp_ms < 0:
            return 0.0
        return self._age_s(batch)

    def _age_s(self, batch: BatchCommitted) -> float:
        """Never below 0, though the producer's clock may be ahead of this one."""
        return max(0.0, self._clock() - batch.last_timestamp_ms / 1000)


class _StepSeconds(Collector):
    """The histogram of time per event: a batch counts as all its events, each with the batch's mean time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(STEP_BUCKETS_S) + 1)
        self._seconds = 0.0

    def observe(self, seconds: float, *, events: int) -> None:
        """Count the events of a batch that took so long."""
        bucket = bisect_left(STEP_BUCKETS_S, seconds / events)
        with self._lock:
            self._counts[bucket] += events
            self._seconds += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the histogram as it is now."""
        with self._lock:
            counts, seconds = list(self._counts), self._seconds
        bounds = [*map(str, STEP_BUCKETS_S), "+Inf"]
        yield HistogramMetricFamily(
            f"{NAMESPACE}_step_seconds",
            "Learning and predicting one event, taken as the mean of its batch, in seconds.",
            buckets=list(zip(bounds, accumulate(counts), strict=True)),
            sum_value=seconds,
        )


def _labels(source: TopicPartition) -> tuple[str, str]:
    return source.topic, str(source.partition)


def _set(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set the gauge, or remove its series while the value is not known."""
    if value is None:
        gauge.remove(*labels)
    else:
        gauge.labels(*labels).set(value)


def _set_each(gauge: Gauge, labels: tuple[str, ...], names: Sequence[str], values: Sequence[float] | None) -> None:
    """Set the gauge of each name, or remove them all while their values are not known."""
    for name, value in zip(names, values or (None,) * len(names), strict=True):
        _set(gauge, (*labels, name), value)
