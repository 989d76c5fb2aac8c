"""POST /v1/keys/validate: answers whether a key may be used. docs/operations/validate_key.md"""

from keyrail.operations.validate_key import OPERATION
from keyrail.triggers.http import http_function

handler = http_function(OPERATION)
