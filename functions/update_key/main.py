"""PATCH /v1/keys/{key_id}: changes, disables or enables a key. docs/operations/update_key.md"""

from keyrail.triggers.http import http_function

handler = http_function("update_key")
