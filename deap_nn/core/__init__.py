"""What everything else stands on: arguments, errors, files, logbooks and random streams."""
