"""Inspection of published outputs and learned state: consistency checks, checkpoint descriptions, Keras exports."""
