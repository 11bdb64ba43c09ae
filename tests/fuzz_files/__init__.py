"""Sound files, damaged by hands that know their formats, and loaded: ``nox -s fuzz_files``.

``corpus`` writes sound files with the frameworks' own writers, ``blind`` and ``structured`` damage
them, ``worker`` loads them and watches, ``__main__`` starts workers and sums up. What must become
of a file: it is loaded, or refused by a ValueError that names it, within a second and the memory
that SECURITY.md speaks of, and nothing but that file is opened.
"""
