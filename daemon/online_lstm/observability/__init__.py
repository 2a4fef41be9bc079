"""What a person or a monitoring system sees: Prometheus, logs, health, the live page."""
