"""Networks from an image to maps, in stages, and their initial weights."""
