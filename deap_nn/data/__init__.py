"""Labelled images and other samples: found, read, checked, split and named."""
