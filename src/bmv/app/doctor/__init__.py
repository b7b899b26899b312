"""``bmv doctor``: everything that can be wrong before a start, each a check of its own."""
