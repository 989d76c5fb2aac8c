"""POST /v1/keys/validate: answers whether a key may be used. docs/operations/validate_key.md"""

from keyrail.triggers.http import http_function

handler = http_function("validate_key")
