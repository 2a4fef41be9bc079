"""Output of the commands: tables, progress bars, formatted messages, output files."""
