"""Statistical gates: pure decisions on concurrent windows of traffic."""
