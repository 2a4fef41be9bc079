"""Task number: forecast the next values of a stream of numbers."""
