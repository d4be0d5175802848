"""Dolma 1.2.1's commands: the same configuration in, recipes of this package out."""
