"""A/B tests: two variants side by side for a week or more, and the answer which one to keep."""
