"""Reproduce the claims of the NCAP paper."""
