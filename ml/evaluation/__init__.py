"""Measure the networks and pipelines: speed, memory, quality."""
