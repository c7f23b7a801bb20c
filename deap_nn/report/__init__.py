"""A run as a page, as figures, and in a browser."""
