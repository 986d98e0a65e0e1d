"""An agent acts: evaluations, recordings, interventions."""
