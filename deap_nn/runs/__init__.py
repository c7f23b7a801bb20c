"""A run on disk: its settings, its records, and reading them back."""
