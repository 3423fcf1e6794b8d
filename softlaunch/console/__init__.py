"""The console: pages over everything that an installation does, live, and the actions of people on them."""
