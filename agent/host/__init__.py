"""What touches the operating system: one port, one adapter for each kind of host."""
