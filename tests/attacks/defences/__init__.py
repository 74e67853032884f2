"""Defences that can be switched off; each module registers some."""
