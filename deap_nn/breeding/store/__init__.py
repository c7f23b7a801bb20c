"""The genomes that a host keeps."""
