"""Task symbol: predict the next symbol of a stream."""
