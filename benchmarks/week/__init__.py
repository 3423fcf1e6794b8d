"""What a release that lasts a week costs its driver, on a compressed clock."""
