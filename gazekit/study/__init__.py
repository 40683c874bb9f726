"""Studies: many runs, systems × folds × seeds, carried out and compared."""
