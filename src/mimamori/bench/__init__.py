"""What times a part on this machine: engine, inlet, stores, restart, console. Beside the service, not in it."""
