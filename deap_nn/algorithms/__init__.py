"""The generational loop."""
