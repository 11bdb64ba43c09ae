"""Read ragged sequences with Ray Data: `map_batches` of a class that maps the network once.

From the root of the sources::

    pip install '.[scaling]' && python examples/batch_ray.py

makes some thousand sequences (``batches.py`` says how), reads them in one process, then with one
worker and with two, prints frames per second and writes ``batch_ray.json``. A row of the data set
is the number of a sequence, whose frames the worker reads from the mapped file. Every answer has
the bits of the one process. Everything stays on 127.0.0.1.
"""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shipped import SCALING, missing

# Read when ray is imported, and by its processes. Without the third Ray takes 127.0.0.1 for the
# address by which others reach this machine. The last: memory that other programs take is no reason
# to end these workers.
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_memory_monitor_refresh_ms": "0",
}

try:
    import numpy as np
    import ray
    import ray.data

    import batch_command
    import batches
    import lstm_native
    from batches import BATCH, Corpus, Floats
except ModuleNotFoundError as lost:
    raise missing(lost.name, SCALING) from None

PARTS = 8  # of the sequences for each worker, which gets a new one when it has done one


class Reader:
    """What a worker keeps: the corpus, and the network mapped from its file."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.lstm = corpus, corpus.network()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Read the sequences whose numbers stand under ``id``: a row for each."""
        begun, rows = time.time(), batch["id"]
        states = batches.read(self.lstm, self.corpus.sequences(rows), self.corpus.lengths[rows])
        facts = begun, time.time(), os.getpid(), lstm_native.get_num_threads()
        return {"id": rows, "states": states, "facts": np.tile(facts, (len(rows), 1))}


def read(corpus: Corpus, workers: int) -> tuple[Floats, dict[str, Any]]:
    """Read all sequences with so many workers of one core each: states (N, H), and figures.

    The time is from the first batch that a worker begins to the last one that ends: starting the
    workers takes seconds, and is a figure of its own.
    """
    start = time.time()
    count = len(corpus)
    # The numbers are there before the workers, so that none waits for another's.
    numbers = ray.data.range(count, override_num_blocks=PARTS * workers).materialize()
    parts = numbers.map_batches(
        Reader,
        fn_constructor_args=(corpus,),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,  # Ray sets OMP_NUM_THREADS to as many
    ).iter_batches(batch_size=None)
    states = np.empty((count, corpus.network().hidden_size), np.float32)
    facts = []
    for part in parts:  # in any order
        states[part["id"]] = part["states"]
        facts.append(part["facts"])
    begun, ended, processes, threads = np.concatenate(facts).T
    figures = corpus.figures(ended.max() - begun.min(), len(set(processes)), int(threads.max()))
    return states, figures | {"seconds to start": round(begun.min() - start, 2)}


@contextmanager
def engine() -> Iterator[batch_command.Reading]:
    """Have Ray on this machine, with room for two workers."""
    # Sockets lie in its folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=200_000_000,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = sys.stderr.isatty()
        context.wait_for_min_actors_s = 60  # no batch before all workers are there
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            yield read
        finally:
            ray.shutdown()


if __name__ == "__main__":
    sys.exit(batch_command.main("ray", engine, None))
