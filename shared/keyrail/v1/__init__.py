"""The gRPC API, generated from proto/keyrail/v1; `make proto` writes it anew."""
