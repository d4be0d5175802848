"""Selecting, editing and sampling documents by their attributes."""
