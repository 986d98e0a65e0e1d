"""Speed and learning, ours beside the peers', in one run."""
