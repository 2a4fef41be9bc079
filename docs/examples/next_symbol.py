"""Say what comes next after each value of a sequence."""

import json
from pathlib import Path

import keras
import numpy as np

model = keras.models.load_model("by-position.keras")
symbols = json.loads(Path("by-position.json").read_text())["symbols"]
sequence = [0, 1, 0]
one_hot = np.eye(len(symbols), dtype="float32")[[symbols.index(value) for value in sequence]]
for value, probabilities in zip(sequence, model.predict(one_hot[None], verbose=0)[0], strict=True):
    print(f"{value}, then {symbols[probabilities.argmax()]} ({probabilities.max():.2f})")
