"""Judging recorded evidence again, handed on to the audits."""

from relay.tls.rejudge import Rejudged, rejudge

__all__ = ["Rejudged", "rejudge"]
