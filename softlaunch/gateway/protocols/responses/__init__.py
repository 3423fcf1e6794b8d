"""OpenAI's Responses, which its newer clients and agents ask for first."""
