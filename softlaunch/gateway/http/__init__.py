"""HTTP/1.1 as the gateway speaks it: what can be read in two ways is refused, and nothing is unbounded."""
