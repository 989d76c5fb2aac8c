"""Brings the pipeline up on this machine, rotates everything under load, and shows what the clients noticed."""
