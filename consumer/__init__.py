"""Streaming classification of comments: Kafka in, labeled events out, offsets committed only after."""

__version__ = "0.1.0"
