"""GET /v1/keys: pages through a tenant's keys. docs/operations/list_keys.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("list_keys")
