"""What the nodes measured."""
