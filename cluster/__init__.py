"""Pools, nodes, devices, and the commands that go to them."""
