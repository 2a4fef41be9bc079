"""Published benchmark protocols, and statistics over seeds."""
