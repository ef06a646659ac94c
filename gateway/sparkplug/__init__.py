"""Sparkplug B: what nodes and devices publish, as readings of tags."""
