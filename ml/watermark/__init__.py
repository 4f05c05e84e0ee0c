"""Watermarks: found, and removed."""
