"""Many runs: sweeps, ablations, comparisons, transfer."""
