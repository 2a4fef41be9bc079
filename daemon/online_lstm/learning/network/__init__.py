"""The learning engine: stacked layers that predict a stream's next symbol or a later number, and learn event by event.

The only package that knows TensorFlow, and nothing here imports it before a network runs for the first time.
It knows nothing of symbols, streams or Kafka: codes come in, probabilities go out, the state is one flat row.
"""

from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.label_model import LabelModel, PositionWeights
from online_lstm.learning.network.number_model import NumberModel
from online_lstm.learning.network.replay_buffer import ReplayBuffer
from online_lstm.learning.network.runtime import fingerprint
from online_lstm.learning.network.symbol_model import SymbolModel, SymbolRun

__all__ = [
    "LabelModel",
    "LearningSettings",
    "ModelShape",
    "NumberModel",
    "PositionWeights",
    "ReplayBuffer",
    "SymbolModel",
    "SymbolRun",
    "fingerprint",
]
