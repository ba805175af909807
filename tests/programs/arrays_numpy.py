"""NumPy: arrays of every kind of size, linear algebra, sorting; prints what it computed."""

from __future__ import annotations

import numpy as np

rng = np.random.default_rng(7)
kept = []
for size in (10, 1_000, 100_000):
    a = rng.random((size,))
    b = np.sort(a) @ a
    kept.append(a[::2].copy())
    print(size, f"{b:.12g}", f"{np.fft.rfft(a).real.sum():.9g}")
m = rng.random((120, 120))
print(f"{np.linalg.det(m @ m.T / 40):.9g}", np.linalg.matrix_rank(m))
print(np.concatenate(kept).nbytes, np.unique(rng.integers(0, 50, 1000)).size)
