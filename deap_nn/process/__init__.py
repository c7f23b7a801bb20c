"""A process: its signals, its command line, and its workers."""
