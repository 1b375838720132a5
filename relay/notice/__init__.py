"""Telling people by themselves: a signed webhook, and mail to an administrator."""
