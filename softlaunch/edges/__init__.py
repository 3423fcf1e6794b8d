"""The outside worlds that softlaunch talks to: one folder each, an interface and its implementations."""
