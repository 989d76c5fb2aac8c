"""POST /v1/keys/{key_id}/revoke: ends a key for good. docs/operations/revoke_key.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("revoke_key")
