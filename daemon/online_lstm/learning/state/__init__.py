"""What is learned, as plain arrays: packed records, vocabulary, scaler, stream snapshots."""
