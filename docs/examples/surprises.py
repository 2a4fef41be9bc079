"""Print the states that a machine was not expected to go into."""

import json

from kafka import KafkaConsumer

consumer = KafkaConsumer(
    "machine-predictions",
    bootstrap_servers="localhost:9092",
    isolation_level="read_committed",
    auto_offset_reset="earliest",
    consumer_timeout_ms=3000,
)
for record in consumer:
    message = json.loads(record.value)
    evaluation = message["evaluation"]
    if evaluation and message["event"] > 200 and evaluation["surprise_bits"] > 7:
        print(f"{message['event']}: {message['value']} instead of {evaluation['predicted']}")
