"""POST /v1/keys/{key_id}/rotate: gives a key its next secret; POST /v1/rotation/tick: to every key that is due.
docs/operations/rotate.md, docs/operations/rotate_due.md"""

from keyrail.operations import rotate, rotate_due
from keyrail.triggers.http import http_function

handler = http_function(rotate.OPERATION, rotate_due.OPERATION)
