from pathlib import Path

import pytest
from online_lstm.checkpoint import CheckpointStore, CheckpointWriter
from online_lstm.events import TopicPartition
from online_lstm.learning.state.schema import PartitionState
from support.states import partition_state

SOURCE = TopicPartition("numbers", 3)


def state_at(offset: int) -> PartitionState:
    return partition_state("1f3a9c20", offset)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(str(tmp_path), "online-lstm")


def test_the_writer_writes_in_order_and_reports(store: CheckpointStore) -> None:
    """Each checkpoint is reported once, with its size; after ``drain`` nothing is left to do."""
    writer = CheckpointWriter(store)
    for offset in (1, 2):
        writer.submit(SOURCE, offset, state_at(offset))
    writer.drain()
    assert not writer.busy
    reports = list(writer.finished())
    assert [(1, "written"), (2, "written")] == [(report.offset, report.result) for report in reports]
    assert [store.path(SOURCE, "1f3a9c20", offset).stat().st_size for offset in (1, 2)] == [
        report.size_bytes for report in reports
    ]
    assert [] == list(writer.finished())
    writer.close()


def test_a_full_disk_is_reported_and_survived(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that cannot be written is told once; the next one is tried again."""
    writer = CheckpointWriter(store)

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(store, "write", fail)
        writer.submit(SOURCE, 1, state_at(1))
        writer.drain()
    writer.submit(SOURCE, 2, state_at(2))
    writer.close()
    assert [(1, "failed"), (2, "written")] == [(report.offset, report.result) for report in writer.finished()]
    assert 1 == sum("checkpoint failed" in record.message for record in caplog.records)


def test_a_fault_of_the_writer_is_not_swallowed(store: CheckpointStore) -> None:
    """What is no failure of the disk ends the loop, and waiting for the writer does not hang."""
    writer = CheckpointWriter(store)
    writer.submit(SOURCE, 1, None)  # type: ignore[arg-type]
    writer.drain()
    with pytest.raises(AttributeError, match="commit_metadata"):
        list(writer.finished())
    writer.close()
