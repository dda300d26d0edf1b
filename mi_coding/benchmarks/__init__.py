"""Measurements of the speed and accuracy that this project promises: each command prints a table."""
