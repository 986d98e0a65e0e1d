"""Benchmarks of speed and learning, beside other libraries measured in the same run."""
