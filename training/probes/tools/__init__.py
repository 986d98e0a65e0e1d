"""Functions shared by several probes."""
