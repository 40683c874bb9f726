"""One run: the loop, its checkpoints and its run directory."""
