"""From the maps of a view to its vector."""
