"""The functions of `arcgrad.nn.functional`, one file a subject; import them from there."""
