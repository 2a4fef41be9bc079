"""Look into what was published and learned: consistency, checkpoints, exports."""
