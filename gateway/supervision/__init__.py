"""The care of backends, in the background.  A sibling of `flow`: neither knows the other."""
