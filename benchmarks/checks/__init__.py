"""What the checks of answers cost, and how often they are right."""
