"""Sources that count requests by arm without saying whose they are, and what gates are given of them."""
