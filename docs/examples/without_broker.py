"""Check the settings for a press without a broker."""

import json
from tempfile import TemporaryDirectory

from online_lstm.settings import read_settings
from online_lstm.testing import MemoryKafka, run

kafka = MemoryKafka({"press": 1})
with TemporaryDirectory() as checkpoints:
    settings = read_settings({"input_topics": "press", "network": "lstm 8", "checkpoint_url": checkpoints})
    for _ in range(20):
        for state in ("idle", "press", "open"):
            kafka.produce("press", json.dumps(state).encode(), key=b"press-1")
    messages = run(kafka, settings)
    print(f"{len(messages)} predictions; after {messages[-1]['value']} comes {messages[-1]['prediction']}")

    kafka.produce("press", b"?", key=b"press-1")
    kafka.produce("press", b'"idle"', key=b"press-1")
    (message,) = run(kafka, settings)
    print(f"event {message['event']}: hit {message['evaluation']['hit']}")
    (letter,) = kafka.records("press.dlq")
    print(dict(letter.headers)["online_lstm_error"].decode())
