"""How an ask becomes an award."""
