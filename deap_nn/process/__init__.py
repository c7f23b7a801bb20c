"""A process: its signals, its time limits, its command line, and its workers."""
