"""What a plugin may import and what stays stable: tensors, interfaces, hooks."""
