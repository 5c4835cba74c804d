"""The sizes of buffers."""


def next_power_of_2(n: int) -> int:
    """Return the smallest power of two that is not less than n."""
    return 1 << (n - 1).bit_length()
