"""The verbs of usage."""
