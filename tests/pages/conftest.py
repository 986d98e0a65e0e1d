"""Fixtures of agents that are played with."""

from playing import forager, player, rambler, runs, served  # noqa: F401
