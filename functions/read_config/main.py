"""GET /v1/config/{name}: gives a config's value, or its history. docs/operations/read_config.md"""

from keyrail.triggers.http import http_function

handler = http_function("read_config")
