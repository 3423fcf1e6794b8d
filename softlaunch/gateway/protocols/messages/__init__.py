"""Anthropic's Messages, which its own clients and coding agents speak."""
