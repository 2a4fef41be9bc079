"""Learning from a file as the daemon learns from a topic, and reports about it."""
