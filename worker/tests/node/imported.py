"""A module that is preloaded: it knows the process that imported it."""

import os

IMPORTER = os.getpid()
