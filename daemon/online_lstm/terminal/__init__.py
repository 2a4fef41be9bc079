"""What commands write on a terminal: tables, progress, lines of messages, output files."""
