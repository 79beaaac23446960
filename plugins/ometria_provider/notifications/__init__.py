"""Telling people: what is wrong, once, and that it is over, once."""
