"""The venue: wire formats, metadata and streams of Polymarket."""
