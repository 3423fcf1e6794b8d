"""The APIs that applications speak, each in a folder of its own, behind one interface."""
