"""No input crashes the process: calls made up at random, of everything that can be called.

``python -m fuzz --cases N --seed S``, in ``tests/``, runs N of them in processes of their own;
``nox -s fuzz`` a million. A case is a program of a few calls on a few objects (``scenes/``) whose
arguments are right at first and then altered (``alter.py``). Whatever a call says, it must say by
an exception that its docstring names, and nothing it was given or belongs to may have changed then.

Every decision comes out of one ``Choices``, so a case is a pure function of them: of a seed here,
of hypothesis in ``test_fuzz.py``, of bytes that atheris mutates in ``with_atheris.py``.
"""
