"""Does the test suite notice when the code is wrong? A seeded sample of small changes, each run against its tests."""
