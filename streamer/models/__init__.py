"""The three networks: how they are built, where their weights come from, and how their output is read."""
