"""`make demo`: every part of the portal on one machine, for trying and developing. Never for production."""
