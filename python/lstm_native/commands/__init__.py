"""The commands of the command line, one module each; the demo's lies with the demo.

Owns nothing. A module adds its parser without importing what only running it needs, so that
``--help`` is quick. Must not be imported by the library.
"""
