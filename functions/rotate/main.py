"""POST /v1/keys/{key_id}/rotate: gives a key its next secret. docs/operations/rotate.md
POST /v1/rotation/tick: to every key that is due. docs/operations/rotate_due.md
POST /v1/rotation/sweep: looks after all keys, once a night. docs/operations/sweep.md
As a Lambda also the four steps of a secret that AWS rotates. docs/aws.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("rotate", "rotate_due", "sweep")
