"""What a gateway costs: added latency and requests per second, side by side with others, in one interleaved run."""
