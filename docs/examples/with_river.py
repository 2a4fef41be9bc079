"""Evaluate a forecaster and two classifiers beside models of river."""

import numpy as np
from online_lstm.river import LabelClassifier, NumberForecaster, SymbolClassifier
from river import datasets, dummy, evaluate, metrics, stream, time_series, tree

ours = NumberForecaster(horizon=3, network="lstm 8", seasonal_periods=12)
for forecaster in (ours, time_series.HoltWinters(alpha=0.3)):
    error = evaluate.evaluate(datasets.AirlinePassengers(), forecaster, metrics.MAE(), horizon=3)
    print(forecaster, [round(mae, 1) for mae in error.get()])

for classifier in (LabelClassifier(network="lstm 8"), tree.HoeffdingTreeClassifier()):
    print(classifier, evaluate.progressive_val_score(datasets.Phishing(), classifier, metrics.CrossEntropy()))

for next_state in (SymbolClassifier(network="lstm 8"), dummy.PriorClassifier()):
    states = stream.iter_array(np.zeros((200, 1)), np.tile(["idle", "press", "press", "open"], 50))
    print(next_state, evaluate.progressive_val_score(states, next_state, metrics.Accuracy()))
