"""How long commands take to begin, beside a bare Python."""
