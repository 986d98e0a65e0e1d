"""Tasks by name: rewards, and the start and end of episodes."""
