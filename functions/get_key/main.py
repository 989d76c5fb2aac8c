"""GET /v1/keys/{key_id}: shows a key's record. docs/operations/get_key.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("get_key")
