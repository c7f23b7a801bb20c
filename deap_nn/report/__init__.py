"""A run as a page and as figures."""
