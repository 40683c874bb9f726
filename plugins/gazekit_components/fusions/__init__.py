"""Where views meet."""
