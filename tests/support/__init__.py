"""What tests are made with: fakes, faults, brokers, daemons as processes."""
