"""What the build of the documentation computes: examples, pictures, formulas.

A module each; every one is an extension of Sphinx or called by one. Must not be imported by the
package.
"""
