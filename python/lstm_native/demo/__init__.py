"""The main job on real data: learn to read handwritten digits, save, reload, serve.

``python -m lstm_native demo`` runs it. Read the files in this order:

- `command`: the whole story from data to accuracy, one step a line;
- `reader`: the model, an `LSTM` and a linear head, with its weight file;
- ``lstm_native/_head.py``: the linear layer, softmax and their gradients in plain NumPy;
- `training`: the training loop, `record` and `backward`;
- `serving`: one image at a time, all at once, and the check that both give the same bits;
- `digits`: the data (`make_digits` says how the file was made, ``DIGITS.md`` where from);
- `picture`, ``lstm_native/_progress.py``: what you see.

Beside the linear layer and the line of progress, which `lstm_native.sklearn` has too, the demo
uses the public interface of `lstm_native` and nothing else, as your program would.
"""
