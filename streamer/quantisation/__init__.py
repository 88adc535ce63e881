"""Post-training quantisation: int8 versions of trained networks, for OpenVINO on the CPU."""
