"""The verbs of the machines."""
