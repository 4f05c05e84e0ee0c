"""What makes a picture of a mark usable; asked before it is kept, and once more when it is learned."""

from __future__ import annotations

SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 8, 4096
"""Of the mark itself, without what is clear around it."""

LEAST_OPAQUE_PX = 16
CLEAR, OPAQUE = 0.02, 0.98
"""Opacities, 0..1: up to the first a pixel is clear, above the second it hides the photo."""
