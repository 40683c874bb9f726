"""From what is fused to classes."""
