"""Training: learners, checkpoints, workers, curricula."""
