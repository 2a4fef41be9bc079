"""The commands, one module each: ``add_arguments(parser)`` says what it takes, ``main(arguments)`` runs it.

Heavy libraries are imported when a command runs, never to print a help text.
"""
