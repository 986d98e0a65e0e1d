"""What an experiment is, and what of it lies on disk."""
