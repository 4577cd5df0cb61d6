"""The project's integer hashing (src/hash.ts): all that is drawn is a function of what it belongs to. Knows nothing of training."""

import numpy as np

MASK = 0xFFFFFFFF


def mix(x: int) -> int:
    """Mixes 32 bits into 32 others, one to one."""
    x &= MASK
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & MASK
    x = ((x ^ (x >> 15)) * 0x735A2D97) & MASK
    return x ^ (x >> 15)


def hash_of(*values: int) -> int:
    """Hashes integers of up to 53 bits to 32 bits."""
    h = 0
    for value in values:
        h = mix(mix(h ^ (value & MASK)) + (value >> 32) + 0x9E3779B9)
    return h


def _mix_all(x: np.ndarray) -> np.ndarray:
    x = x & np.uint64(MASK)
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x21F0AAAD)) & np.uint64(MASK)
    x = ((x ^ (x >> np.uint64(15))) * np.uint64(0x735A2D97)) & np.uint64(MASK)
    return x ^ (x >> np.uint64(15))


def uniforms(seed: int, index: int, count: int) -> np.ndarray:
    """`(count,)` in (0, 1): what src/train/parameters.ts draws for tensor `index`."""
    h = mix(mix(mix(mix(0 ^ seed) + 0x9E3779B9) ^ index) + 0x9E3779B9)
    places = np.arange(count, dtype=np.uint64)
    hashed = _mix_all(_mix_all(np.uint64(h) ^ places) + np.uint64(0x9E3779B9))
    return (hashed.astype(np.float64) + 0.5) / 2.0**32


def permuted(index: int, size: int, key: int) -> int:
    """Place `index` of a pseudo-random permutation: a Feistel network over the next power of four, walked until it is inside."""
    half = max(1, -(-(size - 1).bit_length() // 2)) if size > 1 else 1
    mask = (1 << half) - 1
    place = index
    while True:
        left, right = place >> half, place & mask
        for turn in range(4):
            left, right = right, left ^ (mix(right ^ mix(key + turn)) & mask)
        place = (left << half) + right
        if place < size:
            return place
