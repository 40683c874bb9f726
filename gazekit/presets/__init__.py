"""The tables of a preset, their layers, and reading them."""
