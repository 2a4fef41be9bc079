"""The commands, one module each: ``add_arguments(parser)`` says what it takes, ``main(arguments)`` runs it.

``reports`` has what ``backtest`` tells of an input.
Heavy libraries are imported when a command runs, never to print a help text.
"""
