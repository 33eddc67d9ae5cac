"""The commands of `mimamori`, each loaded only when it is asked for; cli.py lists them."""
