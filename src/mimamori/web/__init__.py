"""The nurses' console and the HTTP API. May import what is below it; reads views, sends commands, decides nothing."""
