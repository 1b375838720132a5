"""Resolvers: from a destination to addresses."""
