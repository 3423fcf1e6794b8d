"""Slack: threads, buttons and dialogs, over Socket Mode or signed HTTP."""
