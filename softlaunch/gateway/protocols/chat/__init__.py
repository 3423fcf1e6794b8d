"""OpenAI's chat completions, as nearly every endpoint speaks them."""
