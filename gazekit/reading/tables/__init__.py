"""Read text tables and workbooks, and find the files that they name."""
