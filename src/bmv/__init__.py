"""BMV market maker: one token/SOL market on OpenBook, made by an asymmetric ladder of real orders."""

__version__ = "0.1.0"
