"""Dutch book over complete sets of outcomes of a multi-outcome event."""
