"""What people do in Slack: clicks, dialogs, and the two ways in which they arrive."""
