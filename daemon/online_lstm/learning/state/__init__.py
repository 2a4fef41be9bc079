"""Learned state as plain arrays: packed arrays, vocabulary, scaler, stream snapshots."""
