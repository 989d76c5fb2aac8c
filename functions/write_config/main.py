"""PUT /v1/config/{name}: writes, restores or destroys a config. docs/operations/write_config.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("write_config")
