"""The neural networks: stacked layers that predict symbols, numbers or labels, and learn event by event.

The only package that knows TensorFlow, which loads only when the first network runs or the first Keras file is read or
written. Must not know symbols, streams or Kafka: inputs are codes or scaled numbers, outputs are probabilities or
numbers, and the state is one flat row.
"""

from online_lstm.learning.network.base_model import Model
from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.label_model import LabelModel, PositionWeights
from online_lstm.learning.network.number_model import NumberModel
from online_lstm.learning.network.replay_buffer import ReplayBuffer
from online_lstm.learning.network.symbol_model import SymbolModel, SymbolRun
from online_lstm.learning.network.tensorflow_runtime import fingerprint, load_tensorflow, trim_heap

__all__ = [
    "LabelModel",
    "LearningSettings",
    "Model",
    "ModelShape",
    "NumberModel",
    "PositionWeights",
    "ReplayBuffer",
    "SymbolModel",
    "SymbolRun",
    "fingerprint",
    "load_tensorflow",
    "trim_heap",
]
