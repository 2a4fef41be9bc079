"""Go on from the states before the window to what comes after it."""

import json
from pathlib import Path

import keras
import numpy as np

model = keras.models.load_model("window-10.keras")
about = json.loads(Path("window-10.json").read_text())
for name, states in about["states"].items():
    for variable, state in zip(model.get_layer(name).states, states, strict=True):
        variable.assign([state])
one_hot = np.eye(len(about["symbols"]), dtype="float32")
for code in about["window"]:
    probabilities = model.predict(one_hot[[[code]]], verbose=0)[0, -1]
print(f"next: {about['symbols'][probabilities.argmax()]} ({probabilities.max():.4f})")
