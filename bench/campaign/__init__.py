"""The fault campaign: leases on simulated nodes while processes are killed and devices fail, and what an observer saw."""
