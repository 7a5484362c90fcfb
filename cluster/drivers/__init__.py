"""Engines: what hands devices over. One port, one adapter a kind of pool."""
