"""What scores the product: evaluate, the scoreboard with its rivals, simulated days beside recorded ones."""
