"""Further terms of the objective."""
