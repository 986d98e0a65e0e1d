"""Choosing among whole agents: the parts of which a router is composed."""
