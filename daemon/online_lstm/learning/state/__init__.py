"""Learned state: packed arrays, vocabulary, scaler, and the schema of checkpoints."""
