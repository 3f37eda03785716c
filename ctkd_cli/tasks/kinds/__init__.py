"""Kinds of task: what is learnt. Nothing outside this package knows what a text is."""
