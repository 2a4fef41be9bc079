"""Task symbol: predict the next value of a stream of symbols."""
