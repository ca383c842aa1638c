"""What `arcgrad.utils.checkpoint` is made of: calls that are computed again, what they may keep, the reentrant kind."""
