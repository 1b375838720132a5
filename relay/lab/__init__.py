"""Receivers that each break SMTP TLS in exactly one way, their certificates, and their scripts."""
