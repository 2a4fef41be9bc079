"""Predictors beside the network: experts that it is mixed with, and baselines that every hit rate is shown with.

A package for each task; its panel has all of a stream's, whose state is a few arrays of one row. A state restored says
the same, and so does a stream however it is split into calls.
numba is the affair of these packages alone and is loaded when the first stream begins, not at import.
"""
