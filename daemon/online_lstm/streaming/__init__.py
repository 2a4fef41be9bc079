"""The loop between Kafka and the learner: polls, commits, checkpoints, recovery."""
