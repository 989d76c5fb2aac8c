"""GET /v1/keys: pages through a tenant's keys. docs/operations/list_keys.md"""

from keyrail.triggers.http import http_function

handler = http_function("list_keys")
