"""Eval runners side by side: the same cases, the same endpoint, the same machine."""
