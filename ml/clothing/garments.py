"""The classes of garments, in the order of the network's channels. The web process reads this file: names only."""

GARMENTS = ("tops", "coat", "skirt", "pants", "bag", "shoes", "hat", "dress")

DRESS = "dress"
SKIRT = "skirt"
"""Where dresses count, unless they are asked for apart."""
