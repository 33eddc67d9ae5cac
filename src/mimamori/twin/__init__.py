"""The rules once more, as plain Python objects a household: what the engine's speed and answers are compared with."""
