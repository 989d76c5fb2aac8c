"""Keyrail: API keys and credentials as serverless functions on the user's own Vault; see docs/concepts.md."""
