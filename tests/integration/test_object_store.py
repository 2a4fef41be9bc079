"""Checkpoints in an S3 store over real HTTP: a mock in every run, and a real MinIO where its program is named."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from threading import Thread
from typing import Protocol

import boto3
import moto.settings
import numpy as np
import pytest
from conftest import GIVEN
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from online_lstm.checkpoint import CheckpointStore, CheckpointWriter, storage_backends
from online_lstm.errors import CheckpointDamagedError, CheckpointsUnavailableError, SettingsError
from online_lstm.events import TopicPartition
from online_lstm.learning.state.schema import PartitionState
from support.states import partition_state
from support.tcp_proxy import free_port

pytestmark = pytest.mark.long

MINIO = GIVEN.get("ONLINE_LSTM_MINIO")
STORES = ("moto", "minio") if MINIO else ("moto",)
SOURCE = TopicPartition("numbers", 3)
LINEAGE = "1f3a9c20"
LATER = "7e57ab1e"


def state_at(offset: int, *, lineage: str = LINEAGE, size: int = 64) -> PartitionState:
    return partition_state(lineage, offset, size=size)


class Server(Protocol):
    """An S3 server on a port of its own, with one bucket, that keeps what it has while it is stopped."""

    port: int

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Moto:
    """A mock, on a thread of this process."""

    def __init__(self, _: Path) -> None:
        self.port = free_port()

    def start(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


class Minio:
    """The real thing, as a process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder

    def start(self) -> None:
        assert MINIO is not None
        address = f"127.0.0.1:{self.port}"
        folders: list[str | Path] = ["--certs-dir", self._folder / "certs", self._folder / "data"]
        command = [MINIO, "server", "--address", address, *folders]
        environment = os.environ | {"MINIO_ROOT_USER": "reader", "MINIO_ROOT_PASSWORD": "and-writer"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not self._answers(address):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(120)

    def _answers(self, address: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/minio/health/ready", timeout=5):
                return True
        except OSError:
            return False


@pytest.fixture
def settings_of_client(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No settings of whoever runs the tests; two tries, so that a store that is away is soon known to be."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "and-writer",
        "AWS_MAX_ATTEMPTS": "2",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def serve(kind: str, folder: Path, client: pytest.MonkeyPatch) -> Iterator[Server]:
    folder.mkdir()
    server: Server = Moto(folder) if kind == "moto" else Minio(folder)
    server.start()
    try:
        client.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        yield server
    finally:
        if kind == "moto":  # which keeps in this process what it has
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{server.port}/moto-api/reset", b"")
            ).close()
        server.stop()


@pytest.fixture(params=STORES)
def server(request: pytest.FixtureRequest, tmp_path: Path, settings_of_client: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs, where the client looks for it."""
    yield from serve(request.param, tmp_path / "server", settings_of_client)


@pytest.fixture(params=("directory", *STORES))
def url(request: pytest.FixtureRequest, tmp_path: Path, settings_of_client: pytest.MonkeyPatch) -> Iterator[str]:
    """A place for checkpoints, of each kind."""
    if request.param == "directory":
        yield str(tmp_path / "checkpoints")
    else:
        for _ in serve(request.param, tmp_path / "server", settings_of_client):
            yield "s3://bucket/a prefix/of ours"


# what holds in every place


def test_a_store_does_the_same_in_every_place(url: str) -> None:
    """Lineages and offsets are listed as they are, states are read as they were written."""
    store = CheckpointStore(url, "online-lstm/ü.", {"cpu": "AVX2"})
    store.require_writable()
    assert ([], []) == (store.lineages(SOURCE), store.offsets(SOURCE, LINEAGE))
    sizes = [store.write(SOURCE, offset, state_at(offset, size=offset)) for offset in (5, 70_000)]
    store.write(SOURCE, 6, state_at(6, lineage=LATER))
    store.write(TopicPartition("numbers", 31), 8, state_at(8))
    assert [LINEAGE, LATER] == store.lineages(SOURCE)
    assert [70_000, 5] == store.offsets(SOURCE, LINEAGE)
    assert 4 * 70_000 < sizes[1] < 4 * 70_000 + 2 * sizes[0]
    state = store.read(SOURCE, LINEAGE, 70_000)
    assert (LINEAGE, 70_000) == (state.commit_metadata.lineage, state.commit_metadata.records)
    assert np.array_equal(np.arange(70_000, dtype=np.int32), state.learned.arrays["window"])
    assert [] == CheckpointStore(url, "online-lstm").lineages(SOURCE)
    other = CheckpointStore(url, "online-lstm/ü.")
    assert [70_000, 5] == other.offsets(SOURCE, LINEAGE)
    assert f"{url}/online-lstm%2F%C3%BC%2E/numbers/3/{LINEAGE}/{5:020d}.h5" == other.location(SOURCE, LINEAGE, 5)


def test_the_first_and_the_last_files_of_a_lineage_are_kept(url: str) -> None:
    """From the first one everything can be replayed; one that is written late takes no newer one away, nor is taken."""
    store = CheckpointStore(url, "online-lstm")
    store.write(SOURCE, 5, state_at(5, lineage=LATER))
    store.write(TopicPartition("numbers", 4), 5, state_at(5))
    for offset in (10, 20, 30, 40, 50):
        store.write(SOURCE, offset, state_at(offset))
    assert [50, 40, 30, 10] == store.offsets(SOURCE, LINEAGE)
    store.write(SOURCE, 15, state_at(15))
    assert [50, 40, 30, 15, 10] == store.offsets(SOURCE, LINEAGE)
    store.write(SOURCE, 60, state_at(60))
    assert [60, 50, 40, 10] == store.offsets(SOURCE, LINEAGE)
    assert [5] == store.offsets(SOURCE, LATER)
    assert [5] == store.offsets(TopicPartition("numbers", 4), LINEAGE)


def test_a_later_state_at_the_same_offset_takes_its_place(url: str) -> None:
    """What is read is what was written last, and there is nothing else of it."""
    store = CheckpointStore(url, "online-lstm")
    for size in (10_000, 1):
        store.write(SOURCE, 7, state_at(7, size=size))
        assert size == len(store.read(SOURCE, LINEAGE, 7).learned.arrays["window"])
    assert [7] == store.offsets(SOURCE, LINEAGE)


def test_what_is_damaged_or_gone_is_named(url: str) -> None:
    """The error has the whole path or URL, so that a person finds it."""
    store = CheckpointStore(url, "online-lstm")
    store.write(SOURCE, 7, state_at(7))
    name = store._name(SOURCE, LINEAGE, 7)
    whole = store._storage.get(name)
    for content, reason in ((whole[:-1], "damaged"), (b"", "begins with b''")):
        store._storage.put(name, content)
        with pytest.raises(CheckpointDamagedError, match=rf"^{re.escape(url)}/online-lstm/.*0{{7}}7\.h5: {reason}"):
            store.read(SOURCE, LINEAGE, 7)
    with pytest.raises(CheckpointDamagedError, match=r"0{7}8\.h5: cannot be read"):
        store.read(SOURCE, LINEAGE, 8)


WRITE = """
import sys
import numpy as np
from online_lstm.checkpoint import CheckpointStore
from online_lstm.events import CommitMetadata, TopicPartition
from online_lstm.learning.state.schema import PartitionState, StreamsState
url, size = sys.argv[1], int(sys.argv[2])
store = CheckpointStore(url, "online-lstm")
for offset in range(7, 27):
    streams = StreamsState([], [], {"window": np.full(size, size)}, [], {})
    metadata = CommitMetadata("1f3a9c20", offset, bytes(16), partitions=1)
    store.write(TopicPartition("numbers", 3), offset, PartitionState(metadata, {}, {}, streams))
"""


def test_two_processes_that_write_the_same_files_do_no_harm(url: str) -> None:
    """At every moment the newest checkpoint is one of the two, whole; in the end nothing is left over."""
    store = CheckpointStore(url, "online-lstm")
    store.write(SOURCE, 1, state_at(1))
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, url, str(size)]) for size in (50_000, 30_000)]
    while any(writer.poll() is None for writer in writers):
        newest = store.offsets(SOURCE, LINEAGE)[0]
        try:
            assert newest == store.read(SOURCE, LINEAGE, newest).commit_metadata.records
        except CheckpointDamagedError as error:  # they may be three further by now
            if "cannot be read" not in str(error) or store.offsets(SOURCE, LINEAGE)[0] == newest:
                raise
    assert [0, 0] == [writer.returncode for writer in writers]
    assert [26, 25, 24, 1] == store.offsets(SOURCE, LINEAGE)
    window = store.read(SOURCE, LINEAGE, 26).learned.arrays["window"]
    assert len(window) in (50_000, 30_000)
    assert {len(window)} == set(window)
    assert 4 == len(store._storage.names("online-lstm"))


# what can be wrong with a store


def test_a_store_that_refuses(server: Server, settings_of_client: pytest.MonkeyPatch) -> None:
    """Wrong credentials are told at once, and are never taken for an empty store."""
    CheckpointStore("s3://bucket", "g").write(SOURCE, 7, state_at(7))
    settings_of_client.setenv("AWS_ACCESS_KEY_ID", "stranger")
    settings_of_client.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    require_refusal(CheckpointStore("s3://bucket", "g"), "s3://bucket", PermissionError)


def test_a_bucket_that_does_not_exist(server: Server) -> None:
    """It is told at once, and is never taken for an empty one."""
    require_refusal(CheckpointStore("s3://another/prefix", "g"), "s3://another/prefix", FileNotFoundError)


def require_refusal(store: CheckpointStore, url: str, error: type[OSError]) -> None:
    with pytest.raises(
        SettingsError, match=rf"checkpoint_url: received '{url}', which cannot be used \(.+\); expected"
    ):
        store.require_writable()
    for ask in (store.lineages, lambda source: store.offsets(source, LINEAGE), lambda s: store.read(s, LINEAGE, 7)):
        with pytest.raises(
            CheckpointsUnavailableError, match=rf"{url}/g/numbers/3.* cannot be read \(.+\); the learned state"
        ):
            ask(SOURCE)
    with pytest.raises(error):
        store.write(SOURCE, 8, state_at(8))


def test_a_store_that_is_away_for_a_while(server: Server) -> None:
    """It is never taken for an empty one; when it is back, all goes on as before, without a new start."""
    store = CheckpointStore("s3://bucket", "g")
    writer = CheckpointWriter(store)
    store.write(SOURCE, 7, state_at(7))
    server.stop()
    for ask in (store.lineages, lambda source: store.offsets(source, LINEAGE), lambda s: store.read(s, LINEAGE, 7)):
        with pytest.raises(CheckpointsUnavailableError, match=r"s3://bucket/g/numbers/3.* cannot be read \(.*connect"):
            ask(SOURCE)
    with pytest.raises(CheckpointsUnavailableError, match=r"checkpoint_url: .*s3://bucket.* cannot be reached"):
        store.require_writable()
    writer.submit(SOURCE, 8, state_at(8))
    writer.drain()
    server.start()
    store.require_writable()
    assert [7] == store.offsets(SOURCE, LINEAGE)
    assert 7 == store.read(SOURCE, LINEAGE, 7).commit_metadata.records
    writer.submit(SOURCE, 9, state_at(9))
    writer.close()
    assert [(8, "failed"), (9, "written")] == [(report.offset, report.result) for report in writer.finished()]
    assert [9, 7] == store.offsets(SOURCE, LINEAGE)


def test_a_store_that_never_answers(settings_of_client: pytest.MonkeyPatch) -> None:
    """A connection that is accepted and then silent is given up after a bounded time."""
    settings_of_client.setattr(storage_backends, "TIMEOUT_S", 0.2)
    with create_server(("127.0.0.1", 0)) as silent:
        settings_of_client.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        store = CheckpointStore("s3://bucket", "g")
        with pytest.raises(CheckpointsUnavailableError, match=r"no answer within 0\.2 s"):
            store.lineages(SOURCE)
        with pytest.raises(TimeoutError, match=r"no answer within 0\.\d+ s"):
            store.write(SOURCE, 7, state_at(7))
        with pytest.raises(CheckpointsUnavailableError, match="cannot be reached"):
            store.require_writable()


@pytest.mark.parametrize("faults", [1, 2])
def test_a_fault_of_the_store_is_tried_again(settings_of_client: pytest.MonkeyPatch, faults: int) -> None:
    """An internal error is no answer: it is asked again, as often as the client is set to, and is then an outage."""
    asked = []

    class Faulty(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            self.send_response(503 if len(asked) <= faults else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as http:
        http.daemon_threads = True  # which wait for what the client might ask next
        Thread(target=http.serve_forever).start()
        settings_of_client.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{http.server_port}")
        place = storage_backends.ObjectStorage("s3://bucket")
        with pytest.raises(ConnectionError) if faults == 2 else nullcontext():
            place.put("name", b"content")
        http.shutdown()
    assert 2 * ["/bucket/name"] == asked


def test_an_upload_that_was_not_ended_is_not_seen(server: Server) -> None:
    """A process that is killed in the middle of a large checkpoint leaves the ones before as they were."""
    store = CheckpointStore("s3://bucket", "g")
    store.write(SOURCE, 7, state_at(7))
    s3 = boto3.client("s3", region_name="us-east-1")
    for offset in (7, 8):
        key = store._name(SOURCE, LINEAGE, offset)
        upload = s3.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
        s3.upload_part(Bucket="bucket", Key=key, UploadId=upload, PartNumber=1, Body=bytes(6_000_000))
    assert [7] == store.offsets(SOURCE, LINEAGE)
    assert 7 == store.read(SOURCE, LINEAGE, 7).commit_metadata.records


def test_a_checkpoint_larger_than_one_request_is_whole(url: str) -> None:
    """More than the client sends at once, and more than a second's worth of the slowest transfer."""
    store = CheckpointStore(url, "g")
    assert store.write(SOURCE, 7, state_at(7, size=30_000_000)) > 120_000_000
    assert 30_000_000 == len(store.read(SOURCE, LINEAGE, 7).learned.arrays["window"])
