"""The console's addresses, by what they are about."""
