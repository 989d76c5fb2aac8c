"""One file a way of being called; generic over operations."""
