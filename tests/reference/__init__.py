"""The truth that a change must keep: short trainings, what a commit made of them, and folders that it wrote."""
