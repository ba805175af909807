"""How large blocks were and how long they lived, by thread: columns of `deltas` beside its rows.

They have rows of their own, one for each thread and bucket with any blocks. A column of zeros need
not be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heaptide.recording._schema import SPREAD_BUCKETS
from heaptide.recording._tables import Spreads

Array = NDArray[Any]

COLUMNS: Final = ("spread_thread", "spread_bucket", "spread_blocks")


def read(columns: dict[str, Array], threads: int) -> Spreads:
    """Those of one slice, of threads and buckets that exist. Raises ValueError: the columns differ
    in length."""
    blocks = columns.get("spread_blocks")
    if blocks is None:
        return Spreads.none()
    count = len(blocks)
    thread, bucket = (
        columns.get(name, np.zeros(count, np.uint8)).astype(np.int64) for name in COLUMNS[:2]
    )
    if len(thread) != count or len(bucket) != count:
        raise ValueError("its columns differ in length")
    exist = (thread >= 0) & (thread < threads) & (bucket >= 0) & (bucket < SPREAD_BUCKETS)
    return Spreads(thread[exist], bucket[exist], blocks[exist].astype(np.int64))


def summed(parts: Sequence[Spreads]) -> Spreads:
    """One row for each thread and bucket."""
    if not parts:
        return Spreads.none()
    thread, bucket, blocks = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("thread", "bucket", "blocks")
    )
    keys, place = np.unique(thread * SPREAD_BUCKETS + bucket, return_inverse=True)
    sums = np.zeros(len(keys), np.int64)
    np.add.at(sums, place, blocks)
    return Spreads(keys // SPREAD_BUCKETS, keys % SPREAD_BUCKETS, sums)


def write(spreads: Spreads) -> dict[str, Array]:
    """As columns, those of zeros too; none without rows."""
    if not len(spreads):
        return {}
    return dict(zip(COLUMNS, (spreads.thread, spreads.bucket, spreads.blocks)))
