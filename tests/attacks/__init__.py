"""The attack suite: what submissions may try, each with its honest twin and a live detector."""
