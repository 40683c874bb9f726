"""Show views as in their originals."""
