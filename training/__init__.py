"""Runs: trained, resumed, evaluated, transferred, probed and compared, from Python and the command line."""
