"""Garments, cut out by class."""
