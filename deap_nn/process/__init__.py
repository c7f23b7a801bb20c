"""A process: its signals, its limits of time, its command line, and those beside it."""
