"""The composition root: the only room that knows which adapter is real."""
