"""OpenAI's embeddings: vectors of texts, which a search compares with those that it has kept."""
