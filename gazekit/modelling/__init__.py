"""The model shell, the objective, and building both from a preset."""
