"""Learners of a partition: a pure function of settings and events. They must not know Kafka, files or the clock."""
