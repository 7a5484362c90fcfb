"""The agent's NVML and its node on a real driver. See docs/hardware/README.md; run with `make hardware`."""
