"""The order of galleries: that of the numbers their files begin with."""


class AsNumbered:
    """A key for sorting the scripts of one gallery."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> str:
        """Sort by name."""
        return name
