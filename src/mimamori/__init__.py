"""Mimamori: remote watch for old people who live alone. Safety confirmation, not a medical device."""

__version__ = "0.1.0"
