"""GET /v1/config/{name}: gives a config's value, or its history. docs/operations/read_config.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("read_config")
