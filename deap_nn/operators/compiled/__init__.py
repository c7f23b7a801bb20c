"""Operators in compiled passes over a genome, with the same bytes as those in NumPy."""
