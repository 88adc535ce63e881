"""What streamer delivers on the machine at hand."""
