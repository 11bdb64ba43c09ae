"""Every check of what a caller passes, and every error text, before any pointer is taken.

Owns the order of checks and the wording, which are torch's wherever torch's are good; where torch
reads wrong memory or gives a wrong result in silence, an error of our own stands here. Must not
compute, and must not know the compiled core or the classes.
"""
