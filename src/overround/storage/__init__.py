"""Durable storage: the tape of raw frames, the journal, and their projections."""
