"""Pure core: integers only; knows no I/O, clock, log, randomness or venue."""
