"""How good predictions were: hit rates, errors, drift, significance."""
