"""POST /v1/keys: makes a key and shows it once. docs/operations/issue_key.md"""

from keyrail.triggers.http import http_function

handler = http_function("issue_key")
