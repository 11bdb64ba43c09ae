"""The commands of the command line, one module each.

Owns nothing. A module adds its parser without importing what only running it needs, so that
``--help`` is quick. Must not be imported by anything but ``__main__``.
"""
