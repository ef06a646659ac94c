"""Looking at a machine before it is connected: read-only, bounded, and with advice. Rendering is testbed's."""
