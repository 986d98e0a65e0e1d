"""Runs that leave this machine: exports and their cards."""
