"""Two-sided post-only quoting round a fair value."""
