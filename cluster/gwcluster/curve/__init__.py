"""CURVE keys: certificates on disk, who may do what, and who is let in."""
