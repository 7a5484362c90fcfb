"""What stands idle, what follows from it, and what a rule would have done. Reads only."""
