"""xxh3_64 of up to 128 bytes, from the description of the algorithm (https://github.com/Cyan4973/xxHash)."""

from __future__ import annotations

MASK = (1 << 64) - 1
PRIME64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
)


def word(data: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(data[at : at + size], "little")


def swapped(value: int, size: int = 8) -> int:
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & MASK


def folded(a: int, b: int) -> int:
    """The two halves of the product of two 64-bit numbers, combined."""
    product = a * b
    return product & MASK ^ product >> 64


def finished(value: int) -> int:
    value ^= value >> 37
    value = value * 0x165667919E3779F9 & MASK
    return value ^ value >> 32


def finished_as_xxh64(value: int) -> int:
    value ^= value >> 33
    value = value * PRIME64[1] & MASK
    value ^= value >> 29
    value = value * PRIME64[2] & MASK
    return value ^ value >> 32


def xxh3_64(data: bytes, seed: int = 0) -> int:
    size = len(data)
    if size == 0:
        return finished_as_xxh64(seed ^ word(SECRET, 56) ^ word(SECRET, 64))
    if size <= 3:
        combined = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return finished_as_xxh64(combined ^ ((word(SECRET, 0, 4) ^ word(SECRET, 4, 4)) + seed & MASK))
    if size <= 8:
        seed ^= swapped(seed & 0xFFFFFFFF, 4) << 32
        flip = (word(SECRET, 8) ^ word(SECRET, 16)) - seed & MASK
        value = (word(data, size - 4, 4) + (word(data, 0, 4) << 32)) ^ flip
        value ^= rotated(value, 49) ^ rotated(value, 24)
        value = value * 0x9FB21C651E98DF25 & MASK
        value ^= (value >> 35) + size
        value = value * 0x9FB21C651E98DF25 & MASK
        return value ^ value >> 28
    if size <= 16:
        low = word(data, 0) ^ ((word(SECRET, 24) ^ word(SECRET, 32)) + seed & MASK)
        high = word(data, size - 8) ^ ((word(SECRET, 40) ^ word(SECRET, 48)) - seed & MASK)
        return finished(size + swapped(low) + high + folded(low, high) & MASK)
    if size > 128:
        raise ValueError(f"expected at most 128 bytes, found {size}")
    total = size * PRIME64[0]
    for i in range((size + 31) // 32):
        for at, secret in ((16 * i, 32 * i), (size - 16 * (i + 1), 32 * i + 16)):
            low = word(data, at) ^ (word(SECRET, secret) + seed & MASK)
            high = word(data, at + 8) ^ (word(SECRET, secret + 8) - seed & MASK)
            total += folded(low, high)
    return finished(total & MASK)
