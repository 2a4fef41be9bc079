"""The loop between Kafka and the learners: poll, process, commit, checkpoint, recover."""
