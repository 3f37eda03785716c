"""The verbs of `ctkd`, one file each. Heavy imports stay inside them."""
