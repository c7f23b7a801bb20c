"""Foundations: arguments, errors, files, logbooks and random streams."""
