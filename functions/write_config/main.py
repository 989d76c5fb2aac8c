"""PUT /v1/config/{name}: writes, restores or destroys a config. docs/operations/write_config.md"""

from keyrail.triggers.http import http_function

handler = http_function("write_config")
