"""A module that raises when it is loaded."""

raise RuntimeError("this module\nis broken")
