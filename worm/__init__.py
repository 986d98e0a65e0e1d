"""Data of the living animal, and what is compared with it."""
