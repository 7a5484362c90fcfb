"""What an awarded proposal becomes."""
