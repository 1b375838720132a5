"""TLS at the edge: contexts, observing a handshake, and finding every fault in what was seen."""
