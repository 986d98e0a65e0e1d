"""Train and study agents: runs, rollouts, learning, probes and studies."""
