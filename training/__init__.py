"""Runs, rollouts, learning, probes and studies: what happens to an agent between its circuit and a result."""
