"""Speed, side by side with others: ``python -m bench`` from the root of the repository.

Every shape of ``shapes.toml`` is run by `lstm_native` and its peers in one process, in turns,
after their answers have been compared; medians, ratios and the facts of the machine go into a
JSON file and a table. Read the files in this order:

- `shapes`: what is measured (the rows themselves are data, in ``shapes.toml``);
- `problem`: the arrays that all sides are given;
- `sides`: one adapter each for ourselves and our peers;
- `agreement`: no time without the same answer;
- `timing`: how times are taken, and what is done so that nobody steals another's core;
- `measure`: one row from problem to result;
- `machine`, `report`: the facts and the table.
"""
