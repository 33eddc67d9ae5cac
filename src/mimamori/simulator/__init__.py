"""Simulated households: their life, what their sensors say, and what goes wrong. Knows neither rules nor alerts."""
