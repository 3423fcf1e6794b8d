"""OpenAI's completions of before chats, which code completion and base models still speak."""
