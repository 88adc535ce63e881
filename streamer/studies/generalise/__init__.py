"""Does a network generalise? One trained on each centre, on the mix and without each centre, tested on all of them."""
