"""The genomes on a host: shared slots, keyframes, and ancestors bred when they are needed."""
