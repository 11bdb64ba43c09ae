"""How much may be made of an ONNX file, whose tensors may share memory where copies do not.

Owns the count. Must not know what is made.
"""

# Weights of float16 may be joined and widened in the graph, and their gates put into our order.
MOST_GROWTH = 4
MOST_EXTRA = 12_000_000


class Budget:
    """How many bytes may yet be made; what only looks at other arrays is free."""

    def __init__(self) -> None:
        self._left = MOST_EXTRA

    def grow(self, size: int) -> None:
        """Allow what a file of `size` bytes may need."""
        self._left += MOST_GROWTH * size

    def spend(self, size: int) -> None:
        """Take `size` bytes; ValueError if there are not so many."""
        self._left -= size
        if self._left < 0:
            raise ValueError("its arrays would take suspiciously many bytes for its size")
