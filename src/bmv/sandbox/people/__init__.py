"""The other people of the sandbox's market: what the token is worth to them, and what they do about it."""
