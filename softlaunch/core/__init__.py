"""What everything else builds on: variants, verdicts, documents, prices, times and texts."""
