"""Rules: what is usual, what is not. Pure: no I/O, no clock, no randomness, no logging."""
