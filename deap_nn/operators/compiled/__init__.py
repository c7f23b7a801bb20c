"""Compiled passes over genomes, with the same bytes as the operators in NumPy."""
