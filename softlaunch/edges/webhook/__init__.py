"""A webhook that is told of every incident: PagerDuty, or whatever else listens."""
