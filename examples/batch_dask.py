"""Read ragged sequences with Dask: `map_blocks` over an array of frames on disk.

From the root of the sources::

    pip install '.[scaling]' && python examples/batch_dask.py

makes some thousand sequences (``batches.py`` says how), reads them in one process, then with one
worker and with two, prints frames per second and writes ``batch_dask.json``. All frames are one
array (F, I) on disk, cut into blocks between sequences; workers map the file, and frames never
travel. Every answer has the bits of the one process. Everything stays on 127.0.0.1.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from shipped import SCALING, missing

try:
    import dask
    import dask.array as da
    import numpy as np
    from distributed import Client, LocalCluster

    import batch_command
    import batches
    import lstm_native
    from batches import BATCH, Corpus, Floats, Ints
    from lstm_native import LSTM
except ModuleNotFoundError as lost:
    raise missing(lost.name, SCALING) from None


@cache
def network(folder: Path) -> LSTM:
    """Map the network of a corpus, once in each worker."""
    return Corpus(folder).network()


def map_network(folder: Path) -> None:
    """Have the network ready in this worker; nothing of it travels back."""
    network(folder)


def networks_mapped() -> int:
    """Count what this worker has mapped."""
    return network.cache_info().currsize


def states(frames: Floats, lengths: Ints, folder: Path) -> Floats:
    """Read a block of frames (F, I) that holds sequences of these lengths (N, 1)."""
    return batches.read(network(folder), frames, lengths[:, 0])


def lazily(corpus: Corpus) -> Any:
    """The states of all sequences (N, H), as a Dask array that nobody has computed."""
    cuts = range(0, len(corpus), BATCH)
    rows = tuple(len(corpus.lengths[cut : cut + BATCH]) for cut in cuts)
    sums = tuple(int(corpus.lengths[cut : cut + BATCH].sum()) for cut in cuts)
    frames = da.from_array(corpus.frames, chunks=(sums, -1), asarray=False)
    lengths = da.from_array(corpus.lengths[:, None], chunks=(rows, -1))
    units = corpus.network().hidden_size
    return da.map_blocks(
        states,
        frames,
        lengths,
        corpus.folder,
        dtype=np.float32,
        chunks=(rows, (units,)),
        meta=np.empty((0, 0), np.float32),
    )


def read(corpus: Corpus, workers: int) -> tuple[Floats, dict[str, Any]]:
    """Read all sequences with so many workers of one thread each: states (N, H), and figures.

    The time is that of `compute`, after the workers have started and mapped the network.
    """
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="dask-") as folder,
        dask.config.set({"temporary-directory": folder}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,  # Dask sets OMP_NUM_THREADS to 1
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(map_network, corpus.folder)
        threads = client.run(lstm_native.get_num_threads)
        ready = time.perf_counter()
        found = lazily(corpus).compute()
        seconds = time.perf_counter() - ready
        mapped = client.run(networks_mapped)
    figures = corpus.figures(seconds, len(threads), max(threads.values()))
    return found, figures | {
        "seconds to start": round(ready - start, 2),
        "networks mapped by each": max(mapped.values()),
    }


@contextmanager
def engine() -> Iterator[batch_command.Reading]:
    """Have nothing ready: `read` starts its workers."""
    yield read


if __name__ == "__main__":
    sys.exit(batch_command.main("dask", engine, None))
