"""Calling providers over HTTP/1.1: llhttp reads, connections are kept, and nothing is unbounded."""
