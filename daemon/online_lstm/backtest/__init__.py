"""Learn from a file as the daemon would learn from a topic, and report how it went."""
