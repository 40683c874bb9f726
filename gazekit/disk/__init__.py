"""Read and write files safely: whole or not at all, regular, of bounded size, locked."""
