"""A module that needs another, which is not there."""

import surely_not_there  # type: ignore[import-not-found]  # noqa: F401
