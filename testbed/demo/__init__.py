"""The demo: a plant.yaml, its simulated shop floor, and a week of history. A configuration, not a code path."""
