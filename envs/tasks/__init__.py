"""Tasks by name: what is rewarded, and where episodes begin and end."""
