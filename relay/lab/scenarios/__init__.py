"""The scenarios, one module for each family, one declaration for each scenario.

Rules of this package: data only, and nothing heavy imported, so that a list of the scenarios costs
nothing. Every scenario breaks one thing; what it does not mention is as an honest receiver has it.
"""
