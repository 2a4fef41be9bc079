"""The commands, one module each: ``add_arguments(parser)`` defines the options, ``main(arguments)`` runs the command.

Heavy libraries are imported when a command runs, never to print a help text.
"""
