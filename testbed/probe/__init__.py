"""`testbed probe`: the terminal side of `gateway.probe`."""
