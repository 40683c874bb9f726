"""Write the page and the tables of a study."""
