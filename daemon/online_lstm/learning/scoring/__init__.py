"""The scores of predictions: hit rates, errors of forecasts, standard errors, drift."""
