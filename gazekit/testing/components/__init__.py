"""The contract of each kind of component, in a file of its own."""
