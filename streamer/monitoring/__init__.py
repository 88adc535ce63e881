"""How a service is watched: metrics, health, structured logs, and a log of who did what."""
