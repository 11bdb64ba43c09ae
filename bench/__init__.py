"""Speed, side by side with others: ``python -m bench`` from the root of the repository.

Every shape of ``shapes.toml`` is run by `lstm_native` and its peers in one process, in turns,
after their answers have been compared. Medians, ratios, the limits of the machine and the targets
go into a JSON file, a table and, on demand, a picture. Read the files in this order:

- `shapes`: what is measured (the rows themselves are data, in ``shapes.toml``);
- `problem`: the arrays that all sides are given;
- `sides`: one adapter each for ourselves and our peers;
- `agreement`: no time without the same answer;
- `timing`: how times are taken, and what is done so that nobody steals another's core;
- `measure`: one row from problem to result;
- `peaks`, `roofline`: what the machine can do at best, and the least time a row can take on it;
- `targets`: what a row should reach (as data, in ``targets.toml``);
- `machine`, `report`, `picture`, `labels`: the facts, the tables and the picture;
- `compare`: two results side by side;
- `isa`: everybody held to one instruction set;
- `options`, `__main__`: the command line.
"""
