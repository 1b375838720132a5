"""The management port: an API over HTTP, for programs that watch and steer."""
