"""GET /v1/keys/{key_id}: shows a key's record. docs/operations/get_key.md"""

from keyrail.triggers.http import http_function

handler = http_function("get_key")
