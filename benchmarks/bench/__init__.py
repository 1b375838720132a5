"""`make bench`: Relaylab and its peers, measured side by side in one run.

The rows and their floors are in `rows`; what each contender is, in `contenders` and `postfix`; how
it is measured, in `suites`. docs/performance.md explains the figures and has the last run.
"""
