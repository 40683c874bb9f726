"""Draw figures and write the pages of runs and studies."""
