"""Tests of the client that calls providers."""
