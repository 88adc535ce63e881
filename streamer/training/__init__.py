"""Training of the three networks: samples, augmentation, one loop, one task a network."""
