"""Relaylab: a local SMTP relay that enforces TLS policy, and a lab that breaks SMTP TLS."""

__version__ = "0.1.0"
