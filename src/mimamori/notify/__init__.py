"""Notices leave the house here: the outbox, and one module a channel. Imports model only; `app` wires it up."""
