"""The Python API: one partition of the daemon as an object, with Python values in and results out."""
