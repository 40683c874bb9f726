"""Train one run: start, loop, checkpoints, resume."""
