"""The life of a release: opening, observing, deciding, ending it, and resuming those without a driver."""
