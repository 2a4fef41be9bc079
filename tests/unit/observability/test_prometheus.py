import dataclasses
from typing import Any

import pytest
from online_lstm import __version__
from online_lstm.events import TopicPartition
from online_lstm.observability.prometheus import PrometheusMetrics
from online_lstm.predictor_scores import Predictors
from online_lstm.telemetry import (
    HINTS,
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    Hint,
    InputObserved,
    OutputFormChanged,
    PartitionStats,
    TopicMisfits,
    TransactionEnded,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.fakes import NUMBER_REPORT, Clock

NOW_S = 1_800_000_000.0
SOURCE = TopicPartition("numbers", 3)
OTHER = TopicPartition("numbers", 4)
TRANSACTION = "open_transaction_seconds"
OF = {"topic": "numbers", "partition": "3"}
PREDICTORS = Predictors(("last_value", "most_frequent"), ("lstm",))
BATCH = BatchCommitted(
    source=SOURCE,
    events=10,
    scored=9,
    hits=PREDICTORS.named([7, 1, 2, 6]),
    fit_steps=8,
    skipped_steps=2,
    dead_letters=(("not_utf8", 4),),
    evicted_streams=5,
    step_seconds=0.02,
    lag_records=0,
    last_timestamp_ms=int(NOW_S * 1000) - 4000,
    drifts=3,
)
STANDING = PartitionStats(
    source=SOURCE,
    streams=2,
    vocabulary=14,
    hit_rates=PREDICTORS.named([0.75, 0.25, 0.5, 0.7]),
    log_loss_bits=0.4,
    numbers=None,
    checkpoint_offset=120,
    kappa_temporal=2 / 3,
    surprise_bits=0.1,
)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_S)


@pytest.fixture
def metrics(clock: Clock) -> PrometheusMetrics:
    metrics = PrometheusMetrics(
        baselines=("last_value", "most_frequent"),
        experts=("lstm",),
        reasons=("not_utf8", "not_finite", "refused_output"),
        build={"tensorflow": "2.21.0"},
        interval_level=0.8,
        clock=clock,
    )
    metrics.observe(AssignmentChanged(assigned=(SOURCE,)))
    return metrics


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"online_lstm_{name}", labels)


def series_of(metrics: PrometheusMetrics, source: TopicPartition) -> set[str]:
    return {
        sample.name
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.labels.get("topic") == source.topic and sample.labels.get("partition") == str(source.partition)
    }


def test_counters_begin_at_zero(metrics: PrometheusMetrics) -> None:
    """An assigned partition has every counter at 0, for each baseline, reason and result."""
    assert value(metrics, "events_total", **OF) == 0
    assert value(metrics, "baseline_hits_total", **OF, baseline="most_frequent") == 0
    assert value(metrics, "dead_letters_total", **OF, reason="not_finite") == 0
    assert value(metrics, "checkpoints_total", **OF, result="failed") == 0
    assert value(metrics, "transactions_total", result="aborted") == 0


def test_gauges_appear_once_known(metrics: PrometheusMetrics) -> None:
    """Before the first scored prediction there is no hit rate, rather than one of 0."""
    assert value(metrics, "hit_rate", **OF) is None
    metrics.observe(STANDING)
    assert value(metrics, "hit_rate", **OF) == 0.75
    unknown: dict[str, Any] = {"hit_rates": None, "log_loss_bits": None, "kappa_temporal": None, "surprise_bits": None}
    metrics.observe(dataclasses.replace(STANDING, **unknown))
    known = {name.removeprefix("online_lstm_") for name in series_of(metrics, SOURCE)}
    assert not known & {"hit_rate", "baseline_hit_rate", "expert_hit_rate", "lift", "log_loss_bits"}
    assert not known & {"kappa_temporal", "surprise_bits"}


@pytest.mark.parametrize(
    ("expected", "name", "labels"),
    [
        (20, "events_total", {}),
        (18, "predictions_scored_total", {}),
        (14, "hits_total", {}),
        (2, "baseline_hits_total", {"baseline": "last_value"}),
        (4, "baseline_hits_total", {"baseline": "most_frequent"}),
        (12, "expert_hits_total", {"expert": "lstm"}),
        (16, "fit_steps_total", {}),
        (4, "fit_steps_skipped_total", {}),
        (8, "dead_letters_total", {"reason": "not_utf8"}),
        (0, "dead_letters_total", {"reason": "not_finite"}),
        (10, "streams_evicted_total", {}),
        (6, "drifts_total", {}),
        (NOW_S - 4, "last_event_timestamp_seconds", {}),
    ],
)
def test_batches_add_up(metrics: PrometheusMetrics, expected: float, name: str, labels: dict[str, str]) -> None:
    """Two equal batches count twice as much as one."""
    metrics.observe(BATCH)
    metrics.observe(BATCH)
    assert expected == value(metrics, name, **OF, **labels)


@pytest.mark.parametrize(
    ("expected", "name", "labels"),
    [
        (2.0, "mean_absolute_error", {}),
        (8.0, "baseline_mean_absolute_error", {"baseline": "most_frequent"}),
        (3.0, "expert_mean_absolute_error", {"expert": "lstm"}),
        (2.5, "root_mean_squared_error", {}),
        (0.1, "mean_absolute_error_ratio", {}),
        (0.2, "mean_absolute_percentage_error", {}),
        (0.5, "skill", {"baseline": "best"}),
        (0.5, "skill", {"baseline": "last_value"}),
        (0.75, "skill", {"baseline": "seasonal_naive"}),
        (0.9, "interval_coverage", {}),
        (0.8, "interval_coverage_target", {}),
    ],
)
def test_errors_of_numbers_are_shown(
    metrics: PrometheusMetrics, expected: float, name: str, labels: dict[str, str]
) -> None:
    """Those in a unit only where there is one; none before the first is known."""
    metrics.observe(dataclasses.replace(STANDING, numbers=NUMBER_REPORT))
    assert expected == value(metrics, name, **OF, **labels)
    vectors = dataclasses.replace(NUMBER_REPORT, mean_absolute_errors=None, root_mean_squared_error=None)
    metrics.observe(dataclasses.replace(STANDING, numbers=vectors))
    in_units = ("mean_absolute_error" in name and not name.endswith("ratio")) or name == "root_mean_squared_error"
    assert (None if in_units else expected) == value(metrics, name, **OF, **labels)
    metrics.observe(STANDING)
    assert value(metrics, name, **OF, **labels) is None


@pytest.mark.parametrize(
    ("expected", "name", "labels"),
    [
        (2, "streams", {}),
        (14, "vocabulary_size", {}),
        (0.5, "baseline_hit_rate", {"baseline": "most_frequent"}),
        (0.25, "lift", {}),
        (0.4, "log_loss_bits", {}),
        (2 / 3, "kappa_temporal", {}),
        (0.1, "surprise_bits", {}),
        (120, "checkpoint_offset", {}),
    ],
)
def test_gauges_show_how_the_learners_stand(
    metrics: PrometheusMetrics, expected: float, name: str, labels: dict[str, str]
) -> None:
    """Gauges are the report's values; the lift is measured against the best baseline."""
    metrics.observe(STANDING)
    assert expected == value(metrics, name, **OF, **labels)


def test_sequences_are_shown_where_there_are_labels(metrics: PrometheusMetrics) -> None:
    """How many wait for theirs, and how many were given up; of other tasks nothing waits."""
    metrics.observe(STANDING)
    assert value(metrics, "sequences_waiting", **OF) is None
    assert 0 == value(metrics, "sequences_unlabelled_total", **OF)
    metrics.observe(dataclasses.replace(STANDING, waiting_sequences=3))
    metrics.observe(dataclasses.replace(BATCH, unlabelled_sequences=2))
    assert 3 == value(metrics, "sequences_waiting", **OF)
    assert 2 == value(metrics, "sequences_unlabelled_total", **OF)


def test_batch_times(metrics: PrometheusMetrics) -> None:
    """A batch counts as its events, each with the batch's mean time, and once with its last record's age."""
    metrics.observe(BATCH)
    metrics.observe(dataclasses.replace(BATCH, events=1, step_seconds=0.4, last_timestamp_ms=-1))
    assert value(metrics, "step_seconds_count") == 11
    assert value(metrics, "step_seconds_sum") == pytest.approx(0.42)
    below = {le: value(metrics, "step_seconds_bucket", le=le) for le in ("0.001", "0.0025", "0.1", "1.0", "+Inf")}
    assert below == {"0.001": 0, "0.0025": 10, "0.1": 10, "1.0": 11, "+Inf": 11}
    assert value(metrics, "end_to_end_seconds_sum") == pytest.approx(4.0)


def test_batch_of_dead_letters_only(metrics: PrometheusMetrics) -> None:
    """Without an event there is no time per event, without a timestamp no age."""
    metrics.observe(dataclasses.replace(BATCH, events=0, step_seconds=0.0, last_timestamp_ms=-1, lag_records=7))
    assert value(metrics, "step_seconds_count") == 0
    assert value(metrics, "end_to_end_seconds_count") == 0
    assert value(metrics, "lag_seconds", **OF) == 0


def test_lag_in_seconds_grows_while_records_wait(metrics: PrometheusMetrics, clock: Clock) -> None:
    """The lag is the age of the last record as long as others wait, and 0 once none does."""
    assert value(metrics, "lag_seconds", **OF) == 0
    metrics.observe(dataclasses.replace(BATCH, lag_records=5))
    clock.now_s += 60
    assert value(metrics, "lag_seconds", **OF) == 64
    metrics.observe(BATCH)
    assert value(metrics, "lag_seconds", **OF) == 0


def test_record_from_the_future_has_no_age(metrics: PrometheusMetrics) -> None:
    """A producer's clock that is ahead gives an age of 0, not a negative one."""
    metrics.observe(dataclasses.replace(BATCH, lag_records=1, last_timestamp_ms=int(NOW_S * 1000) + 9000))
    assert value(metrics, "lag_seconds", **OF) == 0
    assert value(metrics, "end_to_end_seconds_sum") == 0


def test_records_in_another_form_are_counted(metrics: PrometheusMetrics) -> None:
    """By form; a prediction that became a dead letter is one of the dead letters as well."""
    assert 0 == value(metrics, "reformed_records_total", form="publication_time", **OF)
    metrics.observe(OutputFormChanged(SOURCE, "publication_time", 3))
    metrics.observe(OutputFormChanged(SOURCE, "dead_letter", 2))
    assert 3 == value(metrics, "reformed_records_total", form="publication_time", **OF)
    assert 2 == value(metrics, "dead_letters_total", reason="refused_output", **OF)


def test_what_does_not_fit_of_a_topic_is_shown(metrics: PrometheusMetrics) -> None:
    """Each setting of the topic that does not fit is a series of 1."""
    metrics.observe(TopicMisfits("predictions", (("retention.ms", "records are deleted"),)))
    of = {"published_topic": "predictions"}
    assert 1 == value(metrics, "topic_misfits", setting="retention.ms", **of)
    assert value(metrics, "topic_misfits", setting="cleanup.policy", **of) is None


def test_failed_checkpoint_leaves_the_last_one_in_place(metrics: PrometheusMetrics, clock: Clock) -> None:
    """Only a checkpoint that was written moves its time, size and offset."""
    metrics.observe(CheckpointFinished(SOURCE, 120, "written", seconds=0.1, size_bytes=4096))
    clock.now_s += 10
    metrics.observe(CheckpointFinished(SOURCE, 130, "failed"))
    assert value(metrics, "last_checkpoint_timestamp_seconds", **OF) == NOW_S
    assert value(metrics, "checkpoint_size_bytes", **OF) == 4096
    assert value(metrics, "checkpoint_offset", **OF) == 120
    assert value(metrics, "checkpoints_total", **OF, result="written") == 1
    assert value(metrics, "checkpoints_total", **OF, result="failed") == 1
    assert value(metrics, "checkpoint_seconds_count") == 1


def test_transactions_by_result(metrics: PrometheusMetrics) -> None:
    """Committed and aborted transactions are counted apart and timed together."""
    metrics.observe(TransactionEnded(seconds=0.02, records=10, committed=True))
    metrics.observe(TransactionEnded(seconds=0.04, records=10, committed=False))
    assert value(metrics, "transactions_total", result="committed") == 1
    assert value(metrics, "transactions_total", result="aborted") == 1
    assert value(metrics, "transaction_seconds_sum") == pytest.approx(0.06)


def test_revoked_partition_leaves_no_series(metrics: PrometheusMetrics) -> None:
    """After revocation nothing of the partition is shown, and the other one keeps all of its series."""
    metrics.observe(AssignmentChanged(assigned=(OTHER,)))
    for source in (SOURCE, OTHER):
        metrics.observe(dataclasses.replace(BATCH, source=source))
        metrics.observe(dataclasses.replace(STANDING, source=source))
        metrics.observe(CheckpointFinished(source, 120, "written", seconds=0.1, size_bytes=1))
    kept = series_of(metrics, OTHER)
    assert kept == series_of(metrics, SOURCE)
    metrics.observe(AssignmentChanged(revoked=(SOURCE,)))
    assert set() == series_of(metrics, SOURCE)
    assert kept == series_of(metrics, OTHER)
    assert value(metrics, "partitions_assigned") == 1
    assert value(metrics, "rebalances_total") == 3


def test_checkpoint_that_ends_after_revocation(metrics: PrometheusMetrics) -> None:
    """A report that comes too late does not bring the partition's series back."""
    metrics.observe(AssignmentChanged(revoked=(SOURCE,)))
    metrics.observe(CheckpointFinished(SOURCE, 120, "written", seconds=0.1, size_bytes=1))
    assert set() == series_of(metrics, SOURCE)


def test_partition_that_comes_back_counts_from_zero(metrics: PrometheusMetrics) -> None:
    """A second assignment begins anew, as Prometheus expects of a counter that was away."""
    metrics.observe(BATCH)
    metrics.observe(AssignmentChanged(revoked=(SOURCE,)))
    metrics.observe(AssignmentChanged(assigned=(SOURCE,)))
    assert value(metrics, "events_total", **OF) == 0
    assert value(metrics, "lag_seconds", **OF) == 0


def test_content_type_follows_the_accept_header(metrics: PrometheusMetrics) -> None:
    """Who asks for OpenMetrics gets it, everyone else the text format; both hold the same families."""
    text, text_type = metrics.render("")
    opened, opened_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert text_type.startswith("text/plain")
    assert opened_type.startswith("application/openmetrics-text")
    assert {sample.name for family in parse_text(text.decode()) for sample in family.samples} == {
        sample.name for family in parse_openmetrics(opened.decode()) for sample in family.samples
    }


def test_names_follow_the_conventions(metrics: PrometheusMetrics) -> None:
    """All is prefixed, explained and free of creation times; the process's own metrics keep their names."""
    for family in metrics.registry.collect():
        assert family.name.startswith(("online_lstm_", "process_", "python_"))
        assert family.documentation
    assert b"_created" not in metrics.render("")[0]


def test_versions(metrics: PrometheusMetrics) -> None:
    """What runs is told by labels of a series that is always 1."""
    (build,) = (family for family in metrics.registry.collect() if family.name == "online_lstm_build")
    assert build.samples[0].labels == {"version": __version__, "tensorflow": "2.21.0"}
    assert build.samples[0].value == 1


def test_what_waits_is_told_though_no_batch_comes(metrics: PrometheusMetrics) -> None:
    """Lag, the age of the last record, and for how long a transaction has been open."""
    metrics.observe(BATCH)
    metrics.observe(InputObserved(SOURCE, lag_records=51, open_transaction_s=6.0))
    assert (51, 4, 6) == tuple(value(metrics, name, **OF) for name in ("lag_records", "lag_seconds", TRANSACTION))
    metrics.observe(InputObserved(SOURCE, lag_records=0, open_transaction_s=0.0))
    assert (0, 0, 0) == tuple(value(metrics, name, **OF) for name in ("lag_records", "lag_seconds", TRANSACTION))


def test_every_hint_is_a_series_that_is_one_while_it_holds(metrics: PrometheusMetrics) -> None:
    """Those that do not hold are 0, so that an alert ends; a partition that left has none."""
    metrics.observe(InputObserved(SOURCE, 0, 0.0, (Hint("all_missing", "each value is missing"),)))
    assert {"all_missing": 1.0} | dict.fromkeys(HINTS.keys() - {"all_missing"}, 0.0) == {
        name: value(metrics, "hint", hint=name, **OF) for name in HINTS
    }
    metrics.observe(AssignmentChanged(revoked=(SOURCE,)))
    assert {None} == {value(metrics, "hint", hint=name, **OF) for name in HINTS}
