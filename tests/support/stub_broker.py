"""A server that speaks as much of Kafka's protocol as the start of a daemon needs, and lacks what a test says."""

import socketserver
import struct
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from kafka.protocol.admin import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
)
from kafka.protocol.broker_version_data import BROKER_API_VERSIONS
from kafka.protocol.metadata import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    MetadataRequest,
    MetadataResponse,
)
from kafka.protocol.producer import ProduceRequest, ProduceResponse

HOST = "127.0.0.1"
TRANSACTIONS = frozenset({22, 24, 25, 26, 28})
"""API keys: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit."""
CREATE_TOPICS, DESCRIBE_CONFIGS = 19, 32
_ANSWERED = {
    request.API_KEY: request
    for request in (
        ApiVersionsRequest,
        CreateTopicsRequest,
        DescribeConfigsRequest,
        FindCoordinatorRequest,
        MetadataRequest,
        ProduceRequest,
    )
}
INTERFACES = BROKER_API_VERSIONS[max(BROKER_API_VERSIONS)]
_UNKNOWN_TOPIC = 3


class StubBroker(socketserver.ThreadingTCPServer):
    """One node.

    Args:
        topics: Those that exist, with one partition each.
        without: API keys that it does not have.
        refusals: By topic, the error code and message of the refusal to create it; others are created.
        configs: What it says of the configuration of any topic.
        advertised: The host that it sends its clients to.
    """

    allow_reuse_address = daemon_threads = True

    def __init__(
        self,
        topics: Collection[str] = (),
        *,
        without: Collection[int] = (),
        refusals: Mapping[str, tuple[int, str]] | None = None,
        configs: Mapping[str, str] | None = None,
        advertised: str = HOST,
    ) -> None:
        super().__init__((HOST, 0), _Connection)
        self.topics = set(topics)
        self.stored: list[str] = []  # the topic of each batch that was produced
        self._advertised = advertised
        self._without, self._refusals, self._configs = without, refusals or {}, configs or {}

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.server_address[1]}"

    def answer(self, request: Any) -> Any:
        """Return the response to a request."""
        node = {"node_id": 1, "host": self._advertised, "port": self.server_address[1]}
        match request:
            case ApiVersionsRequest():
                kept = {key: bounds for key, bounds in INTERFACES.items() if key not in self._without}
                keys = [ApiVersionsResponse.ApiVersion(key, *bounds) for key, bounds in kept.items()]
                return ApiVersionsResponse(api_keys=keys)
            case MetadataRequest():
                asked = [topic.name for topic in request.topics] if request.topics is not None else self.topics
                return MetadataResponse(
                    brokers=[MetadataResponse.MetadataResponseBroker(**node)],
                    cluster_id="stub",
                    controller_id=1,
                    topics=[self._topic(name) for name in asked],
                )
            case CreateTopicsRequest():
                return CreateTopicsResponse(topics=[self._create(topic.name) for topic in request.topics])
            case ProduceRequest():
                return ProduceResponse(responses=[self._store(topic) for topic in request.topic_data])
            case DescribeConfigsRequest():
                return DescribeConfigsResponse(results=[self._describe(asked) for asked in request.resources])
        keys = [FindCoordinatorResponse.Coordinator(key=key, **node) for key in request.coordinator_keys]
        return FindCoordinatorResponse(coordinators=keys)

    def _topic(self, name: str) -> Any:
        partition = MetadataResponse.MetadataResponseTopic.MetadataResponsePartition(
            leader_id=1, leader_epoch=0, replica_nodes=[1], isr_nodes=[1]
        )
        known = name in self.topics
        return MetadataResponse.MetadataResponseTopic(
            name=name, error_code=0 if known else _UNKNOWN_TOPIC, partitions=[partition] if known else []
        )

    def _store(self, topic: Any) -> Any:
        stored = ProduceResponse.TopicProduceResponse
        self.stored += [topic.name for _ in topic.partition_data]
        partitions = [stored.PartitionProduceResponse(index=data.index, base_offset=0) for data in topic.partition_data]
        return stored(name=topic.name, partition_responses=partitions)

    def _create(self, name: str) -> Any:
        code, message = self._refusals.get(name, (0, None))
        if not code:
            self.topics.add(name)
        return CreateTopicsResponse.CreatableTopicResult(name=name, error_code=code, error_message=message)

    def _describe(self, asked: Any) -> Any:
        result = DescribeConfigsResponse.DescribeConfigsResult
        entry = result.DescribeConfigsResourceResult
        configs = [entry(name=name, value=value, config_source=5) for name, value in self._configs.items()]
        return result(resource_type=asked.resource_type, resource_name=asked.resource_name, configs=configs)


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while len(size := self.rfile.read(4)) == 4:
            data = self.rfile.read(struct.unpack(">i", size)[0])
            key, version = struct.unpack(">hh", data[:4])
            request = _ANSWERED[key].decode(data, version=version, header=True)
            response = cast("StubBroker", self.server).answer(request)
            response.API_VERSION = version
            response.with_header(correlation_id=request.header.correlation_id)
            self.wfile.write(response.encode(header=True, framed=True))


@contextmanager
def stub_broker(*topics: str, **lacks: Any) -> Iterator[StubBroker]:
    """Run a stub in a thread."""
    with StubBroker(topics, **lacks) as broker:
        thread = threading.Thread(target=broker.serve_forever, kwargs={"poll_interval": 0.05}, name="stub-broker")
        thread.start()
        try:
            yield broker
        finally:
            broker.shutdown()
            thread.join()
