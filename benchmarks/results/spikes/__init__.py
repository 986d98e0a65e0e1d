"""What spikes and memories that wire themselves cost and bring: one file for each question; see `__main__`."""
