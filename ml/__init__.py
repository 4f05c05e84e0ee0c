"""Pixels and networks: numpy in, numpy out. Knows no web framework, no queue and no store."""
