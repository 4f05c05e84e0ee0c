"""What stops a measurement."""

from __future__ import annotations


class BenchError(Exception):
    """Something is broken (not: slow); the sentence goes to the person at the terminal."""
