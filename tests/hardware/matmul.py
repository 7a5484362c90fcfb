"""A GPU at full: bf16 matrix products with torch. `python matmul.py SECONDS`; says `ready`, then its speed."""

import sys
import time

import torch

SIZE = 8192

left = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
right = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
torch.cuda.synchronize()
print("ready", flush=True)
began, done = time.monotonic(), 0
while time.monotonic() - began < float(sys.argv[1]):
    for _ in range(50):
        left @ right
    torch.cuda.synchronize()
    done += 50
print(f"{2 * SIZE**3 * done / (time.monotonic() - began) / 1e12:.0f} TFLOP/s", flush=True)
