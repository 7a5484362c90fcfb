"""NVIDIA's management library (NVML) without a GPU: a C shim over shared memory, driven from Python."""
