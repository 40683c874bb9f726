"""Read presets: their tables, and the layers they are merged from."""
