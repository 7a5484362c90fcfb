"""The fault campaign: leases on simulated nodes while processes die and devices fail, and what an observer saw."""
