"""The learner of one partition: a pure function of settings and events. It knows no Kafka, no files and no clock."""
