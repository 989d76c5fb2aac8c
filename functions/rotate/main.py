"""POST /v1/keys/{key_id}/rotate: gives a key its next secret. docs/operations/rotate.md"""

from keyrail.triggers.http import http_function

handler = http_function("rotate")
