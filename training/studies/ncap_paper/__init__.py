"""The claims of the NCAP paper, reproduced."""
