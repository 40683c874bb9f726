"""Turn recordings into fixations: formats, detection, matching with images, quality, heat maps. Imports no torch."""
