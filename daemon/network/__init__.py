"""The learning engine: stacked layers that predict a stream's next symbol or a later number, and learn event by event.

The only package that knows TensorFlow, and nothing here imports it before a network runs for the first time.
It knows nothing of symbols, streams or Kafka: codes come in, probabilities go out, the state is one flat row.
"""

from daemon.network.network import Network, Run
from daemon.network.pins import fingerprint
from daemon.network.regression import Regression
from daemon.network.replay import Past
from daemon.network.sequences import Classifier, PositionWeights
from daemon.network.shape import Learning, Shape

__all__ = ["Classifier", "Learning", "Network", "Past", "PositionWeights", "Regression", "Run", "Shape", "fingerprint"]
