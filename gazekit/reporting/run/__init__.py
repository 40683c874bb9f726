"""Write the page of a run."""
