"""The stable surface for plugins: tensors, interfaces, hooks."""
