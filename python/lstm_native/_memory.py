"""The memory of a network: its parameters, and the packed copy of them that the kernels read.

Owns the one flat buffer, the views handed out of it, when it may be written to, and when the packed
copy is kept. Must not know how a network is called, nor what its attributes are.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from sys import getrefcount
from typing import Any, ClassVar

import numpy as np

from lstm_native import _forks, _panels, functional, parameters, runtime
from lstm_native._checks import arguments
from lstm_native.parameters import PRECISIONS, Config, FloatArray, Packing, Precision, Storage


class Memory:
    """One buffer that all parameters lie in, and its packed copy.

    In training mode the buffer is writable and every call packs it for the kernels. In evaluation
    mode every array handed out is read-only and the packed copy is kept; its weights may be rounded
    to a smaller type.

    Setting ``writeable`` reaches only the arrays handed out: a slice, or any other plain ndarray a
    caller made of one in training mode, stays writable. NumPy makes it refer to the owner of the
    buffer, so the packed copy is kept only while the owner has no more references than when nobody
    else had any; otherwise each call packs. Nothing needs to be checked after that, since new views
    of read-only arrays are read-only. Holding a parameter itself (an optimizer does, and a state
    dict) costs nothing. What refers to a parameter instead of the buffer looks just like that and
    cannot be seen: memory shared in training mode by a memoryview, DLPack, ``torch.from_numpy`` or
    ``as_strided``, or a subclass (matrix, masked array). Call ``train()`` before writing there.

    A network in evaluation mode may borrow its buffer from a mapped file, to which nobody may
    write. Before the first change it moves into memory of its own.
    """

    # Slots keep all this apart from what a caller or a subclass adds, which is in __dict__.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_adopted",
        "_borrowed",
        "_changes",
        "_config",
        "_dtype",
        "_flat",
        "_identity",
        "_lock",
        "_owner",
        "_packed",
        "_precision",
        "_precision_number",
        "_storage",
        "_training",
        "_unshared",
        "_views",
    )

    _cell: ClassVar[bool]

    def _configure(
        self, config: Config, dtype: np.dtype[Any], borrowed: FloatArray | None = None
    ) -> None:
        count = arguments.allocatable(config, dtype)
        self._config = config
        self._dtype = dtype
        self._training = True
        self._storage: Storage | None = None  # of the packed copy in evaluation mode
        self._precision: Precision | None = None  # None: what is set for all
        self._precision_number = self._number_of_precision()
        self._packed: functional.Weights | None = None
        self._adopted: functional.Weights | None = None  # that lie in borrowed memory
        self._lock = _forks.lock()  # between packing and whatever changes parameters or mode
        self._changes = 0  # counts the latter: a signal handler may do it while we hold the lock
        self._identity = object()  # held by tapes
        self._borrowed = borrowed is not None
        self._owner = np.empty(count, dtype) if borrowed is None else borrowed
        self._flat, self._views = self._views_of(self._owner)
        self._unshared = getrefcount(self._owner)

    def _views_of(self, owner: FloatArray) -> tuple[FloatArray, dict[str, FloatArray]]:
        return owner[:], parameters.views(owner, self._config, cell=self._cell)

    def _own(self) -> None:
        """Move borrowed parameters into memory of the network's own; the lock is held."""
        if not self._borrowed:
            return
        old = self._owner, self._flat, self._views  # whoever hears of their end must find new ones
        owner = self._owner.copy()
        owner.flags.writeable = self._training
        views = self._views_of(owner)
        if self._borrowed:  # still: a signal handler may have moved them meanwhile
            self._owner, (self._flat, self._views) = owner, views
            del owner
            self._unshared = getrefcount(self._owner)
            self._borrowed = False
            self._adopted = None
        del old

    def _packed_state(self) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """The packed copy and what it was made of, by name, and the note on its order."""
        with self._lock:
            flat, storage = self._owner.copy(), self._storage
        weights = functional.pack(flat, self._config, storage)
        if weights is None:
            raise ValueError("packed=True: a cell of no hidden units has nothing to pack")
        views = parameters.views(flat, self._config, cell=self._cell)
        note = _panels.packing(self._dtype, storage)
        return {_panels.ARRAY: weights.panels(), **views}, {_panels.NOTE: note}

    def _arrays(self) -> list[FloatArray]:
        return [self._owner, self._flat, *self._views.values()]

    def _weights(self) -> functional.Weights | None:
        """Weights for a call of now."""
        if self._training:
            return functional.pack(self._owner, self._config)
        return self._packed_as(self._packing())

    def _packing(self) -> Packing | None:
        """What weights are rounded to in evaluation mode."""
        if self._storage is not None or self._dtype != np.float32:
            return self._storage
        return runtime.packing(self._precision)

    def _number_of_precision(self) -> int:
        """By which the core looks, at each plain call, whether the packed copy is outdated."""
        if self._storage is not None or self._dtype != np.float32:
            return -1
        return len(PRECISIONS) if self._precision is None else PRECISIONS.index(self._precision)

    def _packed_as(self, packing: Packing | None) -> functional.Weights | None:
        """The packed copy, if it is of this kind, else a fresh one; in evaluation mode."""
        kept = self._packed
        if kept is not None and kept.storage == packing:
            return kept
        with self._lock:
            changes, adopted = self._changes, self._adopted
            if adopted is not None and adopted.storage == packing:
                weights: functional.Weights | None = adopted
            else:
                weights = functional.pack(self._owner, self._config, packing)
            unshared = self._borrowed or getrefcount(self._owner) == self._unshared
            # Mode or settings may have changed while we waited.
            current = not self._training and changes == self._changes
            if unshared and current and packing == self._packing():
                self._packed = weights
        return weights

    def _adopt(self, packed: functional.Weights) -> None:
        """Use what somebody packed of borrowed parameters, as long as these are borrowed."""
        self._adopted = packed
        if packed.storage == self._packing():
            self._packed = packed

    def _pack_anew(self) -> None:
        """Let the next call pack; the lock is held."""
        self._changes += 1
        self._packed = None
        self._precision_number = self._number_of_precision()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let the block write to the buffer, in evaluation mode too; the packed copy is dropped."""
        with self._lock:
            self._own()
            self._packed = None
            self._owner.flags.writeable = True
            try:
                yield
            finally:
                self._pack_anew()
                self._owner.flags.writeable = self._training

    def _write(self, values: Mapping[str, Any]) -> None:
        # Copies first: values may be views into the buffer, and nothing may fail half way.
        fresh = {name: np.array(value, self._dtype) for name, value in values.items()}
        with self._changing():
            views = parameters.views(self._owner, self._config, cell=self._cell)
            for name, value in fresh.items():
                views[name][...] = value
