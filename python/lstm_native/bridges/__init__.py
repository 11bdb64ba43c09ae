"""Bridges into frameworks: lstm_native's kernels under their modules and their differentiation.

A bridge imports its framework; nothing imports a bridge. ``lstm_native.bridges.torch`` and
``lstm_native.bridges.autograd`` are imported by their users, by name; this module holds nothing.
"""
