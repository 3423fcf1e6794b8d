"""Policies: what people decide about releases beforehand."""
