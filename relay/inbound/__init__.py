"""Listeners: make an envelope of what a client sends, answer with the reply that they are given."""
