"""Drivers round the engine: where inputs come from and who carries out commands."""
