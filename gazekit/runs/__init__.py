"""The run directory: its files, checkpoints, a trained model."""
