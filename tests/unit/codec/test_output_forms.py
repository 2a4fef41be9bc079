"""What a topic refuses is published in another form, and is made the encoded record again."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.codec.output_forms import MAX_FORM_BYTES, Forms, TopicLimits, original
from online_lstm.codec.size import record_bytes
from online_lstm.errors import MissingTopicError, NotCommittedError, UnfitTopicError
from online_lstm.events import OutputRecord, TopicPartition
from support.fakes import NOW_MS, SOURCES, FakeDaemon, FakeKafka, traffic

SOURCE = TopicPartition("numbers", 0)
HEADERS = (("ce_id", b"numbers/0/41"), ("trace", b"abc"))
RECORD = OutputRecord(0, NOW_MS, None, b"{}", HEADERS)
LETTER = OutputRecord(0, NOW_MS, None, b"?", (("online_lstm_offset", b"41"),), dead_letter=True)
PLAIN = TopicLimits(compacted=False)


def forms_of(*records: OutputRecord) -> Forms:
    return Forms({SOURCE: records}, lambda _, dead_letter: "dlq" if dead_letter else "output")


def formed(forms: Forms, **limits: TopicLimits) -> list[tuple[str, OutputRecord]]:
    return forms.records({"output": PLAIN, "dlq": PLAIN, **limits}, NOW_MS)[SOURCE]


def test_a_record_that_its_topic_takes_is_as_it_was() -> None:
    """Nothing is added, and nothing counted."""
    forms = forms_of(RECORD, LETTER)
    assert [("output", RECORD), ("dlq", LETTER)] == formed(forms)
    assert {} == forms.counts


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        (TopicLimits(after_ms=10), (-10_000, 10)),
        (TopicLimits(before_ms=10), (-10, 3_600_000)),
        (TopicLimits(stamps=True, before_ms=10, after_ms=10), (-10_000, 10_000_000)),
    ],
)
def test_limits_of_timestamps(limits: TopicLimits, taken: tuple[int, int]) -> None:
    """A timestamp is taken up to both limits, which count from now; a topic that stamps takes any."""
    assert all(limits.takes_timestamp(NOW_MS + distance, NOW_MS) for distance in taken)
    if not limits.stamps:
        assert not limits.takes_timestamp(NOW_MS + taken[1] + 1, NOW_MS)
    assert (limits.before_ms != 10 or limits.stamps) == limits.takes_timestamp(NOW_MS - 11, NOW_MS)


def test_each_refusal_takes_the_next_form() -> None:
    """First with the time of publication, then as a dead letter, and then it is an error; neighbours stay."""
    forms = forms_of(RECORD, RECORD)
    seen = []
    for _ in range(2):
        forms.refuse([(SOURCE, 1)], "no")
        first, second = formed(forms)
        assert ("output", RECORD) == first
        assert RECORD == original(second[1])
        seen.append((second[0], second[1].timestamp_ms, forms.counts[SOURCE, "dead_letter"]))
    assert [("output", -1, 0), ("dlq", -1, 1)] == seen
    with pytest.raises(UnfitTopicError, match=r"topic dlq refuses a record of numbers/0 .*\(no\)"):
        forms.refuse([(SOURCE, 1)], "no")


def test_a_dead_letter_has_one_other_form() -> None:
    """Refused again, it is an error that names its topic."""
    forms = forms_of(LETTER)
    forms.refuse([(SOURCE, 0)], "no")
    assert LETTER == original(formed(forms)[0][1])
    with pytest.raises(UnfitTopicError, match="topic dlq refuses"):
        forms.refuse([(SOURCE, 0)], "no")


def test_a_key_only_where_it_is_needed() -> None:
    """A compacted topic gets the partition as the key; one that is not known to be, after a refusal."""
    forms = forms_of(RECORD)
    assert b"numbers/0" == formed(forms, output=TopicLimits(compacted=True))[0][1].key
    assert None is formed(forms, output=TopicLimits())[0][1].key
    forms.refuse([(SOURCE, 0)], "no")
    assert [b"numbers/0", None] == [
        formed(forms, output=TopicLimits(compacted=known))[0][1].key for known in (None, False)
    ]


@given(
    dead_letter=st.booleans(),
    key=st.sampled_from((None, b"", b"k")),
    timestamp_ms=st.sampled_from((-1, 0, NOW_MS, NOW_MS + 10**9)),
    refusals=st.integers(0, 2),
    compacted=st.sampled_from((None, False, True)),
    stamps=st.booleans(),
)
def test_any_form_is_made_the_encoded_record_again(
    *, dead_letter: bool, key: bytes | None, timestamp_ms: int, refusals: int, compacted: bool | None, stamps: bool
) -> None:
    """Whatever the topic took, but for the timestamp that a broker wrote over; and it is bounded what a form adds."""
    headers = (("ce_id", b"numbers/0/41"), *([("ce_time", b"1970")] if timestamp_ms >= 0 else []))
    record = OutputRecord(0, timestamp_ms, key, b"{}", headers, dead_letter=dead_letter)
    forms = forms_of(record)
    for _ in range(refusals):
        with suppress(UnfitTopicError):  # it keeps its last form
            forms.refuse([(SOURCE, 0)], "no" * 1000)
    limits = TopicLimits(compacted=compacted, stamps=stamps)
    _, published = formed(forms, output=limits, dlq=limits)[0]
    stamped = replace(original(published), timestamp_ms=timestamp_ms) if stamps else original(published)
    assert record == stamped
    added = record_bytes(published.key, published.value, published.headers) - record_bytes(key, b"{}", headers)
    assert added <= MAX_FORM_BYTES


# in the loop


def test_a_refused_record_throws_nobody_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One record that the output refuses is a dead letter; outputs, marks and states are as if it had been taken."""
    logs = {source: traffic(12, seed=source.partition, source=source) for source in SOURCES}
    taken, refusing = FakeKafka(logs), FakeKafka(logs)
    refusing.refuses = lambda topic, record: topic == "predictions" and dict(record.headers)["ce_id"] == b"numbers/0/5"
    daemons = [
        FakeDaemon(kafka, tmp_path_factory.mktemp(name)) for kafka, name in ((taken, "taken"), (refusing, "refusing"))
    ]
    digests = [daemon.run().digests() for daemon in daemons]
    assert digests[0] == digests[1]
    assert taken.offsets == refusing.offsets
    assert taken.published != refusing.published
    assert taken.published == {source: [*map(original, found)] for source, found in refusing.published.items()}
    letters = [record for record in refusing.published[SOURCES[0]] if record.dead_letter]
    assert 1 == sum(("online_lstm_reason", b"refused_output") in record.headers for record in letters)
    assert 2 == refusing.refusals
    assert {()} == set(daemons[1].health.reasons[daemons[1].health.reasons.index(()) :])


def test_a_topic_that_is_gone_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    """After a failed commit the loop says which topic is missing, and goes on once it is there again."""
    kafka = FakeKafka({SOURCE: traffic(12)})
    daemon = FakeDaemon(kafka, tmp_path_factory.mktemp("gone"))
    gone = True

    def hook(step: str) -> None:
        if gone and step == "before commit":
            raise NotCommittedError("topic output was deleted")
        if gone and step == "before rebuild":
            raise MissingTopicError("topic output does not exist: create it, or set create_topics")

    kafka.on_step = hook
    for _ in range(4):
        daemon.step()
    assert "topic output does not exist: create it, or set create_topics" == daemon.health.waiting_for
    gone = False
    assert daemon.run().kafka.finished
    assert "" == daemon.health.waiting_for
