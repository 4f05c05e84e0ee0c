"""What queries on tables that have grown may take."""

from __future__ import annotations

LIMIT_MS = 20.0
REPEATS = 7
"""The median of so many counts."""
