"""What was made of what was lent: statements of use, and what becomes of GPUs that stand idle."""
