"""The learning engine: stacked layers that predict a stream's next symbol or a later number, and learn event by event.

The only package that knows TensorFlow, and nothing here imports it before a network runs for the first time.
It knows nothing of symbols, streams or Kafka: codes come in, probabilities go out, the state is one flat row.
"""

from online_lstm.learning.network.hyperparameters import Learning, Shape
from online_lstm.learning.network.label_model import Classifier, PositionWeights
from online_lstm.learning.network.number_model import Regression
from online_lstm.learning.network.replay_buffer import Past
from online_lstm.learning.network.runtime import fingerprint
from online_lstm.learning.network.symbol_model import Network, Run

__all__ = ["Classifier", "Learning", "Network", "Past", "PositionWeights", "Regression", "Run", "Shape", "fingerprint"]
