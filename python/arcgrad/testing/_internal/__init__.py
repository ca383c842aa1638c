"""Tools for tests of code that works with tensors of any class."""
