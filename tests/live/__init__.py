"""Live answers that judges are asked about."""
