"""The part of Envoy's API that we serve, generated from proto/keyrail/envoy; `make proto` writes it anew."""
