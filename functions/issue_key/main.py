"""POST /v1/keys: makes a key and shows it once. docs/operations/issue_key.md
POST /v1/keys/import: takes over a key that was made elsewhere. docs/operations/import_key.md"""

from keyrail.triggers.entry_points import entry_points

handler, lambda_handler = entry_points("issue_key", "import_key")
