"""Pure exchange core: one model of the venue for paper trading, backtests and the emulator."""
