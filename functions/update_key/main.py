"""PATCH /v1/keys/{key_id}: changes, disables or enables a key. docs/operations/update_key.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("update_key")
