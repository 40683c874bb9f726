"""Services that follow a training."""
