"""What takes time to import, for the server that daemons are forked from."""

from importlib import import_module

from online_lstm.learning.network import load_tensorflow

load_tensorflow()
for name in ("learning.learner_factory", "observability.http_server", "streaming.service", "streaming.kafka"):
    import_module(f"online_lstm.{name}")
