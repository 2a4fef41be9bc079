"""Observability: Prometheus metrics, the log summary, health checks and the live page."""
