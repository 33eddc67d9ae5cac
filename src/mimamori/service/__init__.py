"""What runs when the service runs: the loop, its duties and what it shows; app.py wires it."""
