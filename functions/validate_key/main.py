"""POST /v1/keys/validate: answers whether a key may be used. docs/operations/validate_key.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("validate_key")
