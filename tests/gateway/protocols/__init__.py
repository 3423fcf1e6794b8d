"""Tests of the protocols that the gateway speaks."""
