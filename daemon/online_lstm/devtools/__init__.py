"""Tools for development and demos: a local Kafka, the daemon as a process, sample data."""
