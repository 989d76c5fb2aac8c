"""POST /v1/keys/{key_id}/revoke: ends a key for good. docs/operations/revoke_key.md"""

from keyrail.triggers.http import http_function

handler = http_function("revoke_key")
